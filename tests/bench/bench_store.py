"""The embedded transport: publish, receive and settle, for batches as group commit forms them."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from mesh_gateway.event import Event
from mesh_gateway.transport.contract import EARLIEST, SHARED, ChannelSpec, Ensure, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

RUNS = 3
BATCHES = {1: 500, 10: 500, 100: 200}


def run() -> list[tuple[str, float, str]]:
    return [_row(size, count) for size, count in BATCHES.items()]


def _row(size: int, count: int) -> tuple[str, float, str]:
    found = sorted(uvloop.run(_measured(size, count)) for _ in range(RUNS))
    costs = [cost for cost, _ in found]
    rate = statistics.median(rate for _, rate in found)
    return (
        f"store: publish + receive + settle, batches of {size}",
        statistics.median(costs),
        f"{costs[0]:.1f}–{costs[-1]:.1f}, {rate:,.0f} events/s",
    )


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
