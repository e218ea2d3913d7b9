"""Producer and subscriber in one process, with one clock: how long answers and deliveries take, at a rate of our choice.

    python -m tests.bench.pacer PORT SINK_PORT SECONDS [--share 0.5]

First as fast as the gateway takes it, then at a share of that for SECONDS. Prints JSON (`Paced`).

Events begin when this process wakes up and sends them, not when an answer has come: what the gateway makes wait is counted
from there, also while no connection is free. How late this process itself wakes is told apart (`own`): a stall that is in both
is the machine's. If it is later than `LATEST` it leaves out what it has missed, instead of sending it all at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from tests.bench import distribution, events, load

TICK = 0.001
"""Seconds between two looks at what is due; the event loop's own resolution."""

LATEST = 0.005

FASTEST_SECONDS = 1.0
PATIENCE = 120.0
"""Seconds for what is under way; it is a few hundredths on a machine of its own."""

STAMP = 20
"""Digits of the id: nanoseconds of the monotonic clock."""

PLACE = b"ce-id: "
HEAD, _, TAIL = events.binary(id="0" * STAMP).partition(b"0" * STAMP)


@dataclass(frozen=True, slots=True)
class Paced:
    """What came of it; the distributions are in ms (`distribution.summary`)."""

    fastest: float
    """Events per second that were taken without a pause."""
    rate: float
    accept: dict[str, float]
    """From the send to its 202."""
    end: dict[str, float]
    """From the send to its arrival at the subscriber."""
    own: dict[str, float]
    """How late this process itself woke."""
    left_out: int
    refused: int


class Pacer:
    """Connections that are free, events that wait for one, and what was measured (µs)."""

    def __init__(self) -> None:
        self.free: deque[Lane] = deque()
        self.waiting: deque[int] = deque()
        self.until = 0
        """Until then (ns), whoever is free sends at once."""
        self.accepted = self.delivered = self.refused = 0
        self.accept, self.end = array("L"), array("L")

    def offer(self, now: int) -> None:
        """One event is due. All connections have their turn, so that none is idle for long enough to be closed."""
        if self.free:
            self.free.popleft().send(now)
        else:
            self.waiting.append(now)

    def answered(self, lane: Lane, ok: bool) -> None:
        """A connection is free again."""
        now = time.monotonic_ns()
        self.accept.append((now - lane.sent) // 1_000)
        if ok:
            self.accepted += 1
        else:
            self.refused += 1
        if self.waiting:
            lane.send(self.waiting.popleft())
        elif now < self.until:
            lane.send(now)
        else:
            self.free.append(lane)

    async def settled(self) -> None:
        """Returns once nothing is under way. Raises `TimeoutError` when that takes too long."""
        async with asyncio.timeout(PATIENCE):
            while len(self.free) < load.CONNECTIONS or self.delivered < self.accepted:
                await asyncio.sleep(0.01)

    async def fastest(self) -> float:
        """Events per second, when each answer is followed by the next event at once."""
        began = time.monotonic_ns()
        self.until = began + int(FASTEST_SECONDS * 1e9)
        for lane in [self.free.popleft() for _ in range(len(self.free))]:
            lane.send(time.monotonic_ns())
        await self.settled()
        return self.delivered / (time.monotonic_ns() - began) * 1e9

    async def paced(self, rate: float, seconds: float) -> tuple[array[int], int]:
        """(how late we woke in µs, events left out)."""
        began = time.monotonic_ns()
        sent = left_out = 0
        own = array("L")
        expected = began
        while (now := time.monotonic_ns()) - began < seconds * 1e9:
            late = max(0, now - expected)
            own.append(late // 1_000)
            due = int((now - began) / 1e9 * rate) - sent - left_out
            most = max(1, int(rate * (TICK + LATEST)))
            left_out += max(0, due - most)
            for _ in range(min(due, most)):
                self.offer(now)
                sent += 1
            # The loop's clock counts whole milliseconds.
            expected = time.monotonic_ns() + int(2 * TICK * 1e9)
            await asyncio.sleep(TICK)
        return own, left_out


class Lane(asyncio.Protocol):
    """One connection to the gateway, with at most one event under way."""

    sent = 0

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pacer.free.append(self)

    def send(self, since: int) -> None:
        """An event that is due since then."""
        self.sent = since
        self._transport.write(HEAD + b"%0*d" % (STAMP, since) + TAIL)

    def data_received(self, data: bytes) -> None:
        self._pacer.answered(self, data.startswith(b"HTTP/1.1 202"))


class Arrivals(load.Sink):
    """A subscriber that reads when the event was sent."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def whole(self, buffer: bytes, end: int) -> None:
        start = buffer.find(PLACE, 0, end) + len(PLACE)
        self._pacer.end.append((time.monotonic_ns() - int(buffer[start : start + STAMP])) // 1_000)
        self._pacer.delivered += 1
        self.transport.write(load.ACCEPTED)


async def _run(asked: argparse.Namespace) -> Paced:
    loop = asyncio.get_running_loop()
    pacer = Pacer()
    await loop.create_server(lambda: Arrivals(pacer), "127.0.0.1", asked.sink)
    for _ in range(load.CONNECTIONS):
        await loop.create_connection(lambda: Lane(pacer), "127.0.0.1", asked.port)
    await pacer.fastest()  # warm
    pacer.delivered -= pacer.accepted
    pacer.accepted = pacer.refused = 0
    fastest = await pacer.fastest()
    del pacer.accept[:], pacer.end[:]
    rate = fastest * asked.share
    gc.disable()  # ours would look like the gateway's
    own, left_out = await pacer.paced(rate, asked.seconds)
    await pacer.settled()
    accept, end, late = (
        distribution.summary([us / 1_000 for us in all]) for all in (pacer.accept, pacer.end, own)
    )
    return Paced(fastest, rate, accept, end, late, left_out, pacer.refused)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.bench.pacer")
    parser.add_argument("port", type=int)
    parser.add_argument("sink", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--share", type=float, default=0.5)
    return parser.parse_args()


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(_asked())))))
