"""The whole gateway as a process on one core: events in over HTTP, out over HTTP, each stored durably.

The producer and the subscriber are processes of their own on the other core; what is counted is the CPU time of the gateway
process (user and system, from /proc) for each delivered event of 1 KiB. Beside it, a plain Go program that does the same
without store and filter.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import events, noise, processes
from tests.bench.processes import REMOTE, Certificates, Gateway
from tests.bench.rows import Row, Sample, Target, absent
from tests.bench.sitting import Sitting
from tests.transports import EMBEDDED, Backing

SECONDS = 3.0
WARM_SECONDS = 1.0
SCRAPE_SECONDS = 1.0
"""Between two looks at `/metrics`: fifteen times as often as Prometheus looks by default."""

TURNS, TURN_SECONDS = 7, 1.0
"""Of two gateways that are compared."""

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
    yield from _cases(
        sitting, *(Case(f"end to end, {triggers} triggers", triggers) for triggers in (1, 100, 1_000))
    )
    yield from sitting.rows(partial(_idle, sitting), against=None, targets=TARGETS)
    yield from _cases(sitting, Case("end to end, 100 triggers, all on", 100, all_on=True))
    yield from _cases(sitting, Case("end to end, TLS in and out", tls=True))
    for backing in REMOTE:
        case = Case(f"end to end over {backing.kind}", backing=backing)
        if backing.server:
            yield from _cases(sitting, case)
        else:
            yield absent(case.what, processes.no_server(backing))


def _cases(sitting: Sitting, *cases: Case) -> list[Row]:
    """Each with the others in turn, so that all of them meet the same machine."""
    servers = [pid for case in cases for pid in processes.servers(case.backing)]
    return sitting.rows(
        lambda: [measured(sitting, case) for case in cases],
        against="forward",
        targets=TARGETS,
        servers=servers,
    )


def _idle(sitting: Sitting) -> list[Sample]:
    """What 999 triggers that do not match cost beside one that does.

    Two runs a minute apart differ by a fifth on a shared machine. So both gateways are there at once and take the load in turn:
    what the machine does meets both, and the median of the turns is left.
    """
    with running(sitting, Case(f"{IDLE}, with 1", 1)) as few, running(sitting, Case(IDLE, 1_000)) as many:
        more = []
        for _ in range(TURNS):
            of_few, of_many = few.spell(TURN_SECONDS), many.spell(TURN_SECONDS)
            more.append((of_many.value / of_few.value - 1) * 100)
    return [Sample(IDLE, statistics.median(more), "%")]


def measured(sitting: Sitting, case: Case) -> Sample:
    """One run."""
    with running(sitting, case) as one:
        return one.spell(SECONDS)


@contextlib.contextmanager
def running(sitting: Sitting, case: Case) -> Iterator[Running]:
    """A gateway and its subscriber, warm."""
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
        one = Running(case, gateway, port, subscriber, certificates)
        one.spell(WARM_SECONDS)
        if case.all_on:
            stack.enter_context(scraped(gateway))
        stack.enter_context(sitting.watched(gateway.pid, case.what))
        yield one


class Running:
    """One case, under way."""

    def __init__(
        self, case: Case, gateway: Gateway, port: int, subscriber: int, certificates: Certificates | None
    ) -> None:
        """`port` and `subscriber`: where the subscriber listens, and its pid."""
        self._case, self._gateway = case, gateway
        self._port, self._subscriber, self._certificates = port, subscriber, certificates
        self._request = events.binary(events.TRACING if case.all_on else None)
        self._accepted = 0

    def spell(self, seconds: float) -> Sample:
        """As many events as it takes in so long, until all are delivered."""
        before = self._cpu()
        answered = processes.load(self._gateway.ingress, self._request, seconds, self._certificates)
        ended = time.monotonic()
        count = answered.accepted
        self._accepted += count
        processes.arrived(self._port, self._accepted, self._certificates)
        rate = count / (answered.seconds + time.monotonic() - ended)
        own, sink, *server = (
            (end - begin) / count * 1e6
            for begin, end in zip(before, self._cpu(), strict=True)
            if begin is not None and end is not None
        )
        beside = {"client": answered.cpu / count * 1e6, "sink": sink}
        if server:
            beside["server"] = server[0]
        note = f"{answered.refused} refused" if answered.refused else ""
        return Sample(self._case.what, own, rate=rate, beside=beside, note=note)

    def _cpu(self) -> tuple[float, float, float | None]:
        """CPU seconds so far: of the gateway, of the subscriber, and of the transport's server."""
        gateway, subscriber = noise.cpu(self._gateway.pid), noise.cpu(self._subscriber)
        return gateway, subscriber, processes.server_cpu(self._case.backing)


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
