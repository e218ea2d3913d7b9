// What a plain net/http program spends on the same exchanges: the comparator of the benchmarks.
//
//	comparator ingress PORT            answers every POST of a CloudEvent with 202
//	comparator client PORT COUNT       POSTs events, 64 at a time; prints the CPU µs of each
//	comparator forward PORT SINK       both: what it has answered it POSTs to SINK; GET says how many, of how many
//
// No store, no filter, no retries: it bounds from below what such a program would need to do the same.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	inFlight = 64
	waiting  = 1000 // as many as a trigger's window
	warm     = 2000
)

var required = []string{"Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type"}

type event struct {
	header http.Header
	body   []byte
}

// read gives the event of a request, or false when an attribute is missing or the body cannot be read.
func read(request *http.Request) (event, bool) {
	found := event{header: http.Header{"Content-Type": request.Header["Content-Type"]}}
	for name, values := range request.Header {
		if strings.HasPrefix(name, "Ce-") {
			found.header[name] = values
		}
	}
	for _, name := range required {
		if found.header.Get(name) == "" {
			return found, false
		}
	}
	body, err := io.ReadAll(request.Body)
	found.body = body
	return found, err == nil
}

// ingress answers 202 once `accept` has returned.
func ingress(port string, accept func(event), count func() string) {
	handler := func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodGet {
			fmt.Fprint(answer, count())
			return
		}
		found, ok := read(request)
		if !ok {
			answer.WriteHeader(http.StatusBadRequest)
			return
		}
		accept(found)
		answer.WriteHeader(http.StatusAccepted)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(handler)))
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight, DisableCompression: true,
	}}
}

func post(client *http.Client, url string, event event) {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(event.body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header = event.header
	answer, err := client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		log.Fatalf("%s answered %d", url, answer.StatusCode)
	}
}

func forward(port, url string) {
	var accepted, delivered atomic.Int64
	events := make(chan event, waiting)
	sender := client()
	for worker := 0; worker < inFlight; worker++ {
		go func() {
			for event := range events {
				post(sender, url, event)
				delivered.Add(1)
			}
		}()
	}
	accept := func(event event) {
		accepted.Add(1)
		events <- event
	}
	ingress(port, accept, func() string { return fmt.Sprint(delivered.Load(), " ", accepted.Load()) })
}

// deliver POSTs `count` copies of an event.
func deliver(client *http.Client, url string, sample event, count int) {
	var left atomic.Int64
	left.Store(int64(count))
	var workers sync.WaitGroup
	for worker := 0; worker < inFlight; worker++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for left.Add(-1) >= 0 {
				post(client, url, event{sample.header.Clone(), sample.body})
			}
		}()
	}
	workers.Wait()
}

func cpuMicroseconds() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return (usage.Utime.Sec+usage.Stime.Sec)*1e6 + int64(usage.Utime.Usec+usage.Stime.Usec)
}

func main() {
	mode, port := os.Args[1], os.Args[2]
	switch mode {
	case "ingress":
		ingress(port, func(event) {}, func() string { return "0 0" })
	case "forward":
		forward(port, "http://127.0.0.1:"+os.Args[3]+"/")
	case "client":
		count, err := strconv.Atoi(os.Args[3])
		if err != nil {
			log.Fatal(err)
		}
		sample := event{http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Id": {"a1b2c3d4-0000-4000-8000-000000000001"},
			"Ce-Source": {"/shop/orders/eu-west-1"}, "Ce-Type": {"com.example.order.created"},
			"Ce-Subject": {"order/12345"}, "Ce-Time": {"2026-10-01T12:00:00.123456Z"}, "Ce-Tenant": {"acme"},
			"Content-Type": {"application/json"},
		}, []byte(`{"a":"` + strings.Repeat("x", 1016) + `"}`)}
		sender, url := client(), "http://127.0.0.1:"+port+"/"
		deliver(sender, url, sample, warm)
		before := cpuMicroseconds()
		deliver(sender, url, sample, count)
		fmt.Println(float64(cpuMicroseconds()-before) / float64(count))
	default:
		log.Fatalf("no mode %s", mode)
	}
}
