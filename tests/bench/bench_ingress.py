"""The ingress alone: HTTP in, decode, a broker that says "durable" on the next turn of the loop, 202."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import uvloop

from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener
from tests.bench import events, processes
from tests.bench.processes import Certificates
from tests.bench.rows import Row, Sample, Target
from tests.bench.sitting import Sitting

SECONDS = 3.0
WARM = 1_000
"""Events before the count begins."""

BINARY = "ingress: one binary event"
TLS = "ingress: one binary event, TLS"
BATCH = f"ingress: an event in batches of {events.BATCH}"
SPACED = f"{BATCH}, with white space"
TARGETS = {
    BINARY: Target(25, native=15, marks="Knative Kafka 22.8, RabbitMQ 59, Bento 84"),
    BATCH: Target(10),
    SPACED: Target(10),
}


class Broker:
    """Collects what arrives in one turn and answers it in the next."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[MeshError | None], None]] = []

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._end)
        self._waiting.append(done)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(None)


def run(sitting: Sitting) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory:
        certificates = processes.certificates(Path(directory))
        for what, request, tls in (
            (BINARY, events.binary(), None),
            (BATCH, events.batch(), None),
            (SPACED, events.batch(spaced=True), None),
            (TLS, events.binary(), certificates),
        ):
            yield from sitting.rows(partial(_once, sitting, what, request, tls), targets=TARGETS)


def _once(sitting: Sitting, what: str, request: bytes, certificates: Certificates | None) -> list[Sample]:
    """One run with one kind of request."""
    with processes.on_core_under_test(), sitting.watched(os.getpid(), what):
        return [uvloop.run(_measured(what, request, certificates))]


async def _measured(what: str, request: bytes, certificates: Certificates | None) -> Sample:
    counters = IngressCounters()
    listener = Listener(Endpoint({"shop/orders": Broker()}, IngressLimits(), counters, lambda: True))
    port = await listener.open("127.0.0.1", 0, tls=_context(certificates))
    with processes.producing(port, request, SECONDS, certificates) as client:
        while counters.accepted < WARM:
            await asyncio.sleep(0.05)
        cpu, wall, before = time.process_time(), time.perf_counter(), counters.accepted
        while client.poll() is None:
            await asyncio.sleep(0.01)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        answered = processes.answered(client)
    count = counters.accepted - before
    await listener.close()
    beside = {"client": answered.cpu / counters.accepted * 1e6}
    return Sample(what, cpu / count * 1e6, rate=count / wall, beside=beside)


def _context(certificates: Certificates | None) -> ssl.SSLContext | None:
    if certificates is None:
        return None
    found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    found.load_cert_chain(certificates.certificate, certificates.key)
    return found
