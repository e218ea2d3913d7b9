"""The delivery client alone: 64 attempts in flight to a subscriber in another process."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

import uvloop

from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.sink import Accepted, Outcome
from mesh_gateway.wire import http
from tests.bench import bench_codec, bench_end_to_end
from tests.harness import free_port

RUNS = 3
COUNT = 30_000
IN_FLIGHT = 64


def run() -> list[tuple[str, float, str]]:
    costs = sorted(uvloop.run(_measured()) for _ in range(RUNS))
    return [
        (
            "delivery: one POST",
            statistics.median(costs),
            f"{costs[0]:.1f}–{costs[-1]:.1f}, {IN_FLIGHT} in flight",
        )
    ]


async def _measured() -> float:
    port = free_port()
    subscriber = await asyncio.create_subprocess_exec(
        sys.executable, bench_end_to_end.__file__, "sink", str(port)
    )
    sink = HttpSink(HttpSettings(f"http://127.0.0.1:{port}/"))
    event = http.decode(bench_codec.HEADERS, bench_codec.BODY, http.Limits())[0]
    finished = asyncio.Event()
    left = 0

    def ended(context: object, outcome: Outcome) -> None:
        nonlocal left
        left -= 1
        if left >= IN_FLIGHT:
            sink.send(event, None, ended)
        elif left == 0:
            finished.set()
        assert isinstance(outcome, Accepted) or left < 0, outcome

    async def deliver(count: int) -> None:
        nonlocal left
        finished.clear()
        left = count
        for _ in range(IN_FLIGHT):
            sink.send(event, None, ended)
        await finished.wait()

    try:
        await _listening(port)
        await deliver(2_000)
        cpu = time.process_time()
        await deliver(COUNT)
        return (time.process_time() - cpu) / COUNT * 1e6
    finally:
        await sink.close()
        subscriber.kill()
        await subscriber.wait()


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
