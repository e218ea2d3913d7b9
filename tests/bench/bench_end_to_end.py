"""The whole gateway as a process on one core: events in over HTTP, out over HTTP, each stored durably.

The producer and the subscriber are processes of their own on the other core; what is counted is the CPU time of the gateway
process (user and system, from /proc) for each delivered event of 1 KiB. Beside it, a plain Go program that does the same
without store and filter.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import events, noise, processes
from tests.bench.processes import REMOTE, Gateway
from tests.bench.rows import Row, Sample, Target, absent
from tests.bench.sitting import Sitting
from tests.transports import EMBEDDED, Backing

SECONDS = 3.0
WARM_SECONDS = 1.0
SCRAPE_SECONDS = 1.0
"""Between two looks at `/metrics`: fifteen times as often as Prometheus looks by default."""

IDLE = "1,000 idle triggers cost more"
TARGETS = {
    **{f"end to end, {triggers} triggers": Target(70, native=45) for triggers in (1, 100, 1_000)},
    "end to end, 100 triggers, all on": Target(70, native=45),
    IDLE: Target(5),
    "end to end over kafka": Target(75, native=45, marks="Knative 60, Bento 230"),
    "end to end over rabbitmq": Target(100, native=70, marks="Knative 211"),
    "end to end over sqs": Target(100, native=75),
}

RETRIES = ", delivery: {retry: 10, backoffDelay: PT0.1S, backoffPolicy: linear}"
REFUSED = 100
"""With retries: one in so many attempts is answered with 503."""


@dataclass(frozen=True)
class Case:
    """One way to run it."""

    what: str
    triggers: int = 1
    backing: Backing = EMBEDDED
    tls: bool = False
    all_on: bool = False
    """Tracing headers in, retries at work, metrics scraped."""


def run(sitting: Sitting) -> Iterator[Row]:
    yield from _triggers(sitting)
    yield from _case(sitting, Case("end to end, 100 triggers, all on", 100, all_on=True))
    yield from _case(sitting, Case("end to end, TLS in and out", tls=True))
    for backing in REMOTE:
        case = Case(f"end to end over {backing.kind}", backing=backing)
        if backing.server:
            yield from _case(sitting, case)
        else:
            yield absent(case.what, processes.no_server(backing))


def _triggers(sitting: Sitting) -> list[Row]:
    """1, 100 and 1,000 triggers in turn, so that all of them meet the same machine, and what the idle ones cost."""
    cases = [Case(f"end to end, {triggers} triggers", triggers) for triggers in (1, 100, 1_000)]

    def once() -> list[Sample]:
        found = [measured(sitting, case) for case in cases]
        more = (found[-1].value / found[0].value - 1) * 100
        return [*found, Sample(IDLE, more, "%")]

    return sitting.rows(once, against="forward", targets=TARGETS)


def _case(sitting: Sitting, case: Case) -> list[Row]:
    servers = processes.servers(case.backing)
    return sitting.rows(
        lambda: [measured(sitting, case)], against="forward", targets=TARGETS, servers=servers
    )


def measured(sitting: Sitting, case: Case) -> Sample:
    """One run."""
    with contextlib.ExitStack() as stack:
        certificates = None
        if case.tls:
            certificates = processes.certificates(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        refuse_every = REFUSED if case.all_on else 0
        port, subscriber = stack.enter_context(processes.sink(certificates, refuse_every))
        delivery = RETRIES if case.all_on else ""
        text = processes.documents(
            case.triggers, port, case.backing, certificates=certificates, delivery=delivery
        )
        gateway = stack.enter_context(Gateway(text))
        request = events.binary(events.TRACING if case.all_on else None)
        warm = processes.load(gateway.ingress, request, WARM_SECONDS, certificates)
        processes.arrived(port, warm.accepted, certificates)
        if case.all_on:
            stack.enter_context(scraped(gateway))
        stack.enter_context(sitting.watched(gateway.pid, case.what))
        before = noise.cpu(gateway.pid), noise.cpu(subscriber), processes.server_cpu(case.backing)
        answered = processes.load(gateway.ingress, request, SECONDS, certificates)
        ended = time.monotonic()
        count = answered.accepted
        processes.arrived(port, warm.accepted + count, certificates)
        seconds = answered.seconds + time.monotonic() - ended
        after = noise.cpu(gateway.pid), noise.cpu(subscriber), processes.server_cpu(case.backing)
        own, sink, *server = (
            (end - begin) / count * 1e6
            for begin, end in zip(before, after, strict=True)
            if begin is not None and end is not None
        )
    beside = {"client": answered.cpu / count * 1e6, "sink": sink}
    if server:
        beside["server"] = server[0]
    note = f"{answered.refused} refused" if answered.refused else ""
    return Sample(case.what, own, rate=count / seconds, beside=beside, note=note)


@contextlib.contextmanager
def scraped(gateway: Gateway) -> Iterator[None]:
    """Somebody looks at the metrics while the block runs."""
    enough = threading.Event()

    def scrape() -> None:
        while not enough.wait(SCRAPE_SECONDS):
            gateway.get("/metrics")

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
