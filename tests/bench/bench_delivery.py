"""The delivery client alone: 64 attempts in flight to a subscriber in another process."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import uvloop

from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.sink import Accepted, Outcome
from tests.bench import events, noise, processes
from tests.bench.processes import Certificates
from tests.bench.rows import Row, Sample, Target
from tests.bench.sitting import Sitting

COUNT = 30_000
IN_FLIGHT = 64
PLAIN, TLS = "delivery: one POST", "delivery: one POST, TLS"
TARGETS = {PLAIN: Target(22, native=16, marks="Knative Kafka 31.5, RabbitMQ 141, Bento 120")}


def run(sitting: Sitting) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory:
        certificates = processes.certificates(Path(directory))
        for what, tls in ((PLAIN, None), (TLS, certificates)):
            once = partial(_once, sitting, what, tls)
            yield from sitting.rows(once, against="client", targets=TARGETS)


def _once(sitting: Sitting, what: str, certificates: Certificates | None) -> list[Sample]:
    """One run, plain or over TLS."""
    with processes.on_core_under_test(), processes.sink(certificates) as (port, subscriber):
        settings = HttpSettings(f"http://127.0.0.1:{port}/")
        if certificates:
            ca = certificates.ca.read_text()
            settings = HttpSettings(f"https://127.0.0.1:{port}/", ca_certificates=ca)
        with sitting.watched(os.getpid(), what):
            return [uvloop.run(_measured(what, settings, subscriber))]


async def _measured(what: str, settings: HttpSettings, subscriber: int) -> Sample:
    deliveries = Deliveries(HttpSink(settings))
    await deliveries.make(2_000)  # warm
    sink = noise.cpu(subscriber)
    cpu, wall = time.process_time(), time.perf_counter()
    await deliveries.make(COUNT)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    sink = noise.cpu(subscriber) - sink
    await deliveries.sink.close()
    return Sample(what, cpu / COUNT * 1e6, rate=COUNT / wall, beside={"sink": sink / COUNT * 1e6})


class Deliveries:
    """Attempts, `IN_FLIGHT` at a time: the end of one begins the next."""

    def __init__(self, sink: HttpSink) -> None:
        self.sink = sink
        self._event = events.event()
        self._begin = self._left = 0
        self._finished = asyncio.Event()

    async def make(self, count: int) -> None:
        """Returns once all are accepted."""
        self._finished.clear()
        self._left = count
        self._begin = count - IN_FLIGHT
        for _ in range(IN_FLIGHT):
            self.sink.send(self._event, None, self._ended)
        await self._finished.wait()

    def _ended(self, context: object, outcome: Outcome) -> None:
        assert isinstance(outcome, Accepted), outcome
        self._left -= 1
        if self._begin:
            self._begin -= 1
            self.sink.send(self._event, None, self._ended)
        elif not self._left:
            self._finished.set()
