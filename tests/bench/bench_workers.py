"""Two workers against one, end to end on the embedded transport, without pinning: events per second, and what they cost.

Client and subscriber are processes too. Where there are only two cores they take one of them and more, so two workers cannot
be twice as fast there, whatever they cost. So beside the events per second of this machine stand the events for each CPU
second of the gateway's processes, the parent's included: where two workers get as many out of one as one does, a second core
is worth as much as the first. And what the busiest process needs says how many times the events of one worker two
would handle, each on a core of its own, when it is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench import events, noise, processes
from tests.bench.bench_end_to_end import SECONDS, WARM_SECONDS
from tests.bench.load import CONNECTIONS
from tests.bench.processes import Gateway
from tests.bench.rows import Row, Sample
from tests.bench.sitting import Sitting
from tests.transports import EMBEDDED

WORKERS = (1, 2)


def run(sitting: Sitting) -> Iterator[Row]:
    yield from sitting.rows(_once, against="forward")


@dataclass(frozen=True, slots=True)
class Measured:
    """One gateway under load. CPU is in µs for each event."""

    workers: int
    rate: float
    """Events per second that were acknowledged."""
    costs: list[float]
    """CPU of each of the gateway's processes."""
    client: float
    sink: float

    def sample(self) -> Sample:
        beside = {"client": self.client, "sink": self.sink}
        return Sample(f"workers: {self.workers}", sum(self.costs), rate=self.rate, beside=beside)


def _once() -> list[Sample]:
    """Both numbers of workers in turn, so that they meet the same machine."""
    one, two = map(_measured, WORKERS)
    ratios = {
        "events/s": two.rate / one.rate,
        "events per CPU second": sum(one.costs) / sum(two.costs),
        "by CPU, each on a core of its own": max(one.costs) / max(two.costs),
    }
    return [
        one.sample(),
        two.sample(),
        *(Sample(f"workers: 2 to 1, {what}", ratio, "×") for what, ratio in ratios.items()),
    ]


def _measured(workers: int) -> Measured:
    # As many connections for each worker as one by itself has: with half of them its batches would be half as large, and which
    # worker gets how many of few is chance.
    connections = CONNECTIONS * workers
    with processes.sink(core=None) as (port, sink):
        text = processes.documents(1, port, EMBEDDED)
        with Gateway(text, "--workers", str(workers), core=None) as gateway:
            warm = processes.load(
                gateway.ingress, events.binary(), WARM_SECONDS, core=None, connections=connections
            )
            processes.arrived(port, warm.accepted)
            before = _used(gateway.pid, sink)
            answered = processes.load(
                gateway.ingress, events.binary(), SECONDS, core=None, connections=connections
            )
            processes.arrived(port, warm.accepted + answered.accepted)
            after = _used(gateway.pid, sink)
    costs = {pid: (after[pid] - before[pid]) / answered.accepted * 1e6 for pid in before}
    return Measured(
        workers,
        answered.accepted / answered.seconds,
        client=answered.cpu / answered.accepted * 1e6,
        sink=costs.pop(sink),
        costs=list(costs.values()),
    )


def _used(*roots: int) -> dict[int, float]:
    """CPU seconds of each of these processes and of their descendants."""
    found = noise.all_processes()
    return {pid: found[pid].own for pid in noise.family(found, set(roots))}
