"""Two workers against one, end to end on the embedded transport, without pinning: throughput, CPU, and how evenly it is spread.

Client and subscriber are processes too. Where there are only two cores they take one of them, so two workers cannot be twice as
fast there, whatever they cost. So besides the throughput of this machine a row says what follows from CPU alone: how many
times the events of one worker two would handle, each on a core of its own, when the busiest of them is full.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import events, noise, processes
from tests.bench.bench_end_to_end import SECONDS, WARM_SECONDS
from tests.bench.processes import Gateway
from tests.bench.rows import Row, Sample
from tests.bench.sitting import Sitting
from tests.transports import EMBEDDED

WORKERS = (1, 2)


def run(sitting: Sitting) -> Iterator[Row]:
    yield from sitting.rows(_once, against="forward")


def _once() -> list[Sample]:
    """Both numbers of workers in turn, so that they meet the same machine."""
    (one, busiest_of_one), (two, busiest_of_two) = (_measured(workers) for workers in WORKERS)
    return [
        one,
        two,
        Sample("workers: 2 handle by CPU, times what 1 does", busiest_of_one / busiest_of_two, "×"),
    ]


def _measured(workers: int) -> tuple[Sample, float]:
    """CPU µs of all processes of the gateway for each event; and that of the process that worked most."""
    with processes.sink(core=None) as (port, _):
        text = processes.documents(1, port, EMBEDDED)
        with Gateway(text, "--workers", str(workers), core=None) as gateway:
            warm = processes.load(gateway.ingress, events.binary(), WARM_SECONDS, core=None)
            processes.arrived(port, warm.accepted)
            before = _used(gateway)
            answered = processes.load(gateway.ingress, events.binary(), SECONDS, core=None)
            processes.arrived(port, warm.accepted + answered.accepted)
            after = _used(gateway)
    costs = [(after[pid] - before[pid]) / answered.accepted * 1e6 for pid in before]
    what = f"workers: {workers}"
    return Sample(what, sum(costs), rate=answered.accepted / answered.seconds), max(costs)


def _used(gateway: Gateway) -> dict[int, float]:
    """CPU seconds of each process of the gateway."""
    found = noise.all_processes()
    return {pid: found[pid].own for pid in noise.family(found, {gateway.pid})}
