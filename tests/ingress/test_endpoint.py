"""Which request gets which status, asked over a socket."""

import json

import pytest

from mesh_gateway.errors import (
    ConnectionLost,
    EventError,
    HopsExhausted,
    InvalidEvent,
    PublishError,
    StoreFull,
    Throttled,
)
from mesh_gateway.ingress.limits import IngressLimits
from tests.ingress.serving import Reply, StubBroker, event, event_lines, head, serving, structured


async def answer(request: bytes, *, method: bytes = b"POST") -> Reply:
    async with serving() as served, served.client() as client:
        return await client.ask(request, method=method)


async def test_a_stored_event_is_202_with_an_empty_body() -> None:
    async with serving() as served, served.client() as client:
        reply = await client.ask(event("7", b'{"a":1}'))
        assert (reply.status, reply.headers, reply.body) == (202, {"content-length": "0"}, b"")
        [stored] = served.broker.events
        assert (stored.id, stored.data, stored.attributes["datacontenttype"]) == (
            "7",
            b'{"a":1}',
            "application/json",
        )


@pytest.mark.parametrize("path", ["/shop/orders", "/shop/orders/", "/shop/orders?a=/x/y", "/shop/orders/?"])
async def test_a_trailing_slash_and_a_query_do_not_matter(path: str) -> None:
    assert (await answer(event(path=path))).status == 202


@pytest.mark.parametrize(
    "target", ["http://other:80/shop/orders", "HTTPS://a/shop/orders/?x", "http://[::1]/shop/orders"]
)
async def test_an_absolute_target_is_its_path(target: str) -> None:
    assert (await answer(event(path=target))).status == 202


@pytest.mark.parametrize(
    "path", ["/", "/shop", "/shop/other", "/shop/orders/x", "//shop/orders", "/shop%2Forders", "/shop/%6frders", "/healthz", "/shop/orders//", "http://a", "ftp://a/shop/orders"]
)  # fmt: skip
async def test_every_other_path_is_404(path: str) -> None:
    reply = await answer(event(path=path))
    assert reply.status == 404
    assert "NAMESPACE" in reply.detail or "no broker" in reply.detail


async def test_a_missing_broker_is_named() -> None:
    assert (
        await answer(event(path="/shop/other?x"))
    ).detail == "there is no broker shop/other here; events go to /NAMESPACE/BROKER"


@pytest.mark.parametrize("path", ["/shop/orders", "/shop/unknown", "/shop/orders/", "/a/b?c"])
async def test_options_on_any_broker_shaped_path_consents_to_webhooks(path: str) -> None:
    reply = await answer(head("webhook-request-origin: x", method="OPTIONS", path=path))
    assert reply.status == 200
    assert reply.headers == {
        "content-length": "0",
        "allow": "POST, OPTIONS",
        "webhook-allowed-origin": "*",
        "webhook-allowed-rate": "*",
    }


async def test_options_elsewhere_is_404() -> None:
    assert (await answer(head(method="OPTIONS", path="/"))).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/shop/orders", "/nowhere", "/"])
async def test_the_method_is_looked_at_before_the_path(method: str, path: str) -> None:
    reply = await answer(head(method=method, path=path))
    assert (reply.status, reply.headers["allow"]) == (405, "POST, OPTIONS")


async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on() -> None:
    async with serving() as served, served.client() as client:
        reply = await client.ask(head(method="HEAD"), method=b"HEAD")
        assert (reply.status, reply.headers["content-length"] != "0") == (405, True)
        assert (await client.ask(event())).status == 202


async def test_all_failing_attributes_are_named_and_nothing_is_stored() -> None:
    async with serving() as served, served.client() as client:
        reply = await client.ask(head(*event_lines(id="1", source=None, type=None, time="noon")))
        assert reply.status == 400
        for name in ("source", "type", "time"):
            assert name in reply.detail
        assert served.broker.calls == 0
        assert served.counters.refused == {"event": 1}


@pytest.mark.parametrize(
    ("lines", "body", "status", "said"),
    [
        ([], b"{}", 400, "not a CloudEvent"),
        (["content-type: application/json"], b"{}", 400, "not a CloudEvent"),
        (["content-type: application/cloudevents+json"], b"{", 400, "JSON"),
        (["content-type: application/cloudevents+json"], b'{"id":"1","id":"2"}', 400, "id"),
        (["content-type: application/cloudevents+avro"], b"x", 415, "avro"),
        (["content-type: application/cloudevents"], b"x", 415, "application/cloudevents+json"),
        ([*event_lines(), "content-encoding: gzip"], b"x", 415, "gzip"),
        ([*event_lines(), "ce-my_ext: x"], b"x", 400, "my_ext"),
        ([*event_lines(), "ce-data: x"], b"x", 400, "data"),
        ([*event_lines(), "ce-id: 2"], b"x", 400, "ce-id"),
        ([*event_lines(specversion="2.0")], b"x", 400, "specversion"),
    ],
)
async def test_what_is_no_event_is_refused_with_its_cause(
    lines: list[str], body: bytes, status: int, said: str
) -> None:
    reply = await answer(head(*lines, f"content-length: {len(body)}") + body)
    assert reply.status == status
    assert said in reply.detail


async def test_a_batch_is_all_or_nothing() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(structured("a", "b", batch=True))).status == 202
        assert (served.broker.ids, served.broker.calls, served.counters.accepted) == (["a", "b"], 1, 2)
        body = json.dumps(
            [{"specversion": "1.0", "id": "c", "source": "s", "type": "t"}, {"id": "d"}]
        ).encode()
        kind = "content-type: application/cloudevents-batch+json"
        reply = await client.ask(head(kind, f"content-length: {len(body)}") + body)
        assert reply.status == 400
        assert "[1]" in reply.detail
        assert served.broker.ids == ["a", "b"]


async def test_an_empty_batch_is_202_and_asks_no_broker() -> None:
    async with serving() as served, served.client() as client:
        kind = "content-type: application/cloudevents-batch+json"
        assert (await client.ask(head(kind, "content-length: 2") + b"[]")).status == 202
        assert served.broker.calls == 0
        assert served.endpoint.in_hand.bytes == 0


async def test_a_batch_may_be_larger_than_an_event_but_none_of_its_events() -> None:
    limits = IngressLimits(max_event_bytes=200, max_batch_bytes=1_000, max_batch_events=10)
    async with serving(limits) as served, served.client() as client:
        assert (await client.ask(structured(*"abcdef", batch=True))).status == 202
        large = await client.ask(structured("x" * 200, batch=True))
        assert (large.status, "limit is 200" in large.detail) == (413, True)
        many = await client.ask(structured(*"abcdefghijk", batch=True))
        assert (many.status, "limit is 10" in many.detail) == (413, True)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(HopsExhausted("too many brokers"), 400, "hops"), (InvalidEvent(["id: bad"]), 400, "event")],
)
async def test_a_broker_may_refuse_an_event_at_once(error: EventError, status: int, reason: str) -> None:
    async with serving() as served, served.client() as client:
        served.broker.refuses = error
        reply = await client.ask(event())
        assert (reply.status, reply.detail) == (status, str(error))
        assert served.counters.refused == {reason: 1}
        assert (served.endpoint.in_hand.bytes, served.endpoint.in_hand.requests) == (0, 0)
        served.broker.refuses = None
        assert (await client.ask(event())).status == 202


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (ConnectionLost("kafka is gone"), "1"),
        (Throttled("slow down", retry_after=7.4), "7"),
        (Throttled("slow down", retry_after=0.01), "1"),
        (StoreFull("no room"), "1"),
        (PublishError("nobody knows", unknown=[0]), "1"),
    ],
)
async def test_an_event_that_is_not_durable_is_503_with_a_time_to_come_back(
    error: Exception, after: str
) -> None:
    async with serving() as served, served.client() as client:
        served.broker.fails = error  # type: ignore[assignment]  # the parameters' common type
        reply = await client.ask(event())
        assert (reply.status, reply.headers["retry-after"]) == (503, after)
        assert str(error) in reply.detail
        assert not reply.closes
        assert served.counters.refused == {"store": 1}
        assert served.counters.accepted == 0
        served.broker.fails = None
        assert (await client.ask(event())).status == 202


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/shop/orders", "/any/thing/at/all"])
async def test_a_kube_probe_is_200_on_any_path_until_the_gateway_stops(method: str, path: str) -> None:
    probe = head("user-agent: kube-probe/1.30", method=method, path=path)
    async with serving() as served, served.client() as client:
        assert (await client.ask(probe)).status == 200
        served.endpoint.draining = True
        assert (await client.ask(probe)).status == 503


async def test_a_network_probe_gets_its_hash_back() -> None:
    reply = await answer(head("K-Network-Probe: probe", "K-Network-Hash: abc=", method="GET", path="/x"))
    assert (reply.status, reply.headers["k-network-hash"]) == (200, "abc=")


async def test_another_network_probe_is_a_request_like_any() -> None:
    assert (await answer(event("1", b"", "k-network-probe: queue"))).status == 202


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_health_and_readiness_are_on_this_listener_too(method: str) -> None:
    ready = False
    async with serving(ready=lambda: ready) as served, served.client() as client:
        health = head(method=method, path="/healthz")
        readiness = head(method=method, path="/readyz?verbose")
        assert (await client.ask(health, method=method.encode())).status == 200
        assert (await client.ask(readiness, method=method.encode())).status == 503
        ready = True
        assert (await client.ask(readiness, method=method.encode())).status == 200
        served.endpoint.draining = True
        assert (await client.ask(readiness, method=method.encode())).status == 503


async def test_health_is_only_read() -> None:
    assert (await answer(head(method="PUT", path="/healthz"))).status == 405


async def test_brokers_are_replaced_for_the_next_request() -> None:
    async with serving() as served, served.client() as client:
        other = StubBroker()
        served.endpoint.replace_brokers({"shop/returns": other})
        assert (await client.ask(event())).status == 404
        assert (await client.ask(event("9", path="/shop/returns"))).status == 202
        assert other.ids == ["9"]


async def test_a_request_stays_with_the_broker_it_was_routed_to() -> None:
    async with serving() as served, served.client() as client:
        whole = event("1", b"0123456789", "expect: 100-continue")
        client.send(whole[:-10])
        assert (await client.reply()).status == 100
        served.endpoint.replace_brokers({})
        assert (await client.ask(whole[-10:])).status == 202
        assert served.broker.ids == ["1"]


async def test_every_answer_is_counted_by_its_status() -> None:
    async with serving() as served, served.client() as client:
        for request in (event(), event(), head(method="GET"), event(path="/a/b")):
            await client.ask(request)
        assert served.counters.responses == {202: 2, 405: 1, 404: 1}
        assert served.counters.refused == {"method": 1, "path": 1}
        assert served.counters.accepted == 2


async def test_a_long_list_of_faults_is_cut() -> None:
    lines = [f"ce-bad_{index}_{'x' * 200}: 1" for index in range(80)]
    reply = await answer(head(*lines))
    assert reply.status == 400
    assert len(reply.body) < 5_000
