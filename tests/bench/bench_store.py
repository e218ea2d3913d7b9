"""The embedded transport: publish, receive and settle, for batches as group commit forms them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import uvloop

from mesh_gateway.event import Event
from mesh_gateway.transport.contract import EARLIEST, SHARED, ChannelSpec, Ensure, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from tests.bench.rows import Row, Sample, Target
from tests.bench.sitting import Sitting

BATCHES = {1: 500, 10: 500, 100: 200}
WHAT = "store: publish + receive + settle, batches of {}"
TARGETS = {WHAT.format(100): Target(6)}
"""Under load, group commit forms batches of about that size."""


def run(sitting: Sitting) -> Iterator[Row]:
    for size, count in BATCHES.items():
        yield from sitting.rows(partial(_once, sitting, size, count), targets=TARGETS)


def _once(sitting: Sitting, size: int, count: int) -> list[Sample]:
    with sitting.watched(os.getpid(), f"store {size}"):
        cost, rate = uvloop.run(_measured(size, count))
    return [Sample(WHAT.format(size), cost, rate=rate)]


async def _measured(size: int, count: int) -> tuple[float, float]:
    """(CPU µs per event of the process, events/s)."""
    with tempfile.TemporaryDirectory() as directory:
        transport = EmbeddedTransport(EmbeddedOptions(), TransportContext("embedded", Path(directory)))
        await transport.open()
        spec = ChannelSpec("bench", "b")
        await transport.ensure(spec, Ensure.CREATE)
        subscription = await transport.subscribe(spec.name, SHARED, EARLIEST)
        batch = [Event.new(type="t", source="/s", id=str(n), data=b"x" * 1_024) for n in range(size)]
        cpu, wall = time.process_time(), time.perf_counter()

        async def read() -> None:
            left = size * count
            while left:
                received = await subscription.receive(256)
                await subscription.settle(received)
                left -= len(received)

        reading = asyncio.ensure_future(read())
        for _ in range(count):
            await transport.publish(spec.name, batch)
        await reading
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        await transport.close()
        return cpu / (size * count) * 1e6, size * count / wall
