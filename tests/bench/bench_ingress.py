"""The ingress alone: HTTP in, decode, a broker that says "durable" on the next turn of the loop, 202."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import uvloop

from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener
from tests.bench import bench_end_to_end

RUNS = 3


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


def run() -> list[tuple[str, float, str]]:
    costs = sorted(uvloop.run(_measured()) for _ in range(RUNS))
    return [
        (
            "ingress: one binary event",
            statistics.median(costs),
            f"{costs[0]:.1f}–{costs[-1]:.1f}, 64 connections",
        )
    ]


async def _measured() -> float:
    counters = IngressCounters()
    listener = Listener(Endpoint({"shop/orders": Broker()}, IngressLimits(), counters, lambda: True))
    port = await listener.open("127.0.0.1", 0)
    command = [sys.executable, bench_end_to_end.__file__, "client", str(port)]
    client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    while counters.accepted < 1_000:
        await asyncio.sleep(0.05)
    cpu, before = time.process_time(), counters.accepted
    await client.wait()
    cost = (time.process_time() - cpu) / (counters.accepted - before) * 1e6
    await listener.close()
    return cost
