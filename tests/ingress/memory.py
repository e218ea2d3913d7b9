"""A connection without a socket: what a test needs to decide every piece, pause and moment itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.protocol import Connection


class Recorder:
    """A broker that ends requests when it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waiting: list[Callable[[MeshError | None], None]] = []

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        self.events += events
        self.waiting.append(done)

    def finish(self) -> None:
        if self.waiting:
            self.waiting.pop()(None)


class Wire(asyncio.Transport):
    """What is written, in memory. Checks that reading and writing stay within their rights."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = False
        self.ended = False
        self.after_write: Callable[[], None] = lambda: None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.written += data
        self.after_write()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class Home:
    """A listener without a socket."""

    def __init__(self, broker: Recorder) -> None:
        limits = IngressLimits(max_event_bytes=2_000)
        self.counters = IngressCounters()
        self.endpoint = Endpoint({"shop/orders": broker}, limits, self.counters, lambda: True)

        self.now = 0.0

    def time(self) -> float:
        return self.now

    def opened(self, connection: Connection) -> bool:
        return True

    def gone(self, connection: Connection) -> None:
        """Nobody waits for it."""
