"""A listener with stub brokers on a real socket, and a client that sees bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_gateway.errors import EventError, MeshError
from mesh_gateway.event import Event
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener

PATIENCE = 10.0
"""Seconds after which a test gives up waiting; none needs more than a fraction of one."""


class StubBroker:
    """Records what it accepts. Durable in the next turn of the loop, or when the test says so (`hold`)."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls = 0
        self.hold = False
        self.waiting: list[Callable[[MeshError | None], None]] = []
        self.refuses: EventError | None = None
        """Raised by `accept`."""
        self.fails: MeshError | None = None
        """What `done` is called with."""
        self._arrived = asyncio.Condition()

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.calls += 1
        self.events += events
        self.waiting.append(done)
        if not self.hold:
            asyncio.get_running_loop().call_soon(self.finish)

    def finish(self, error: MeshError | None = None) -> None:
        """End the oldest request that waits."""
        self.waiting.pop(0)(error or self.fails)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


async def until(true: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Reply:
    """One response, read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def detail(self) -> str:
        problem: dict[str, Any] = json.loads(self.body)
        assert self.headers["content-type"] == "application/problem+json"
        assert problem["status"] == self.status
        assert set(problem) == {"type", "title", "status", "detail"}
        return str(problem["detail"])

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Client:
    """One connection; sends any bytes, reads responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)

    async def ask(self, *parts: bytes, method: bytes = b"POST") -> Reply:
        """Send, and read one response."""
        self.send(*parts)
        return await self.reply(bodiless=method == b"HEAD")

    async def reply(self, *, bodiless: bool = False) -> Reply:
        """Read one response."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")[:-2]
            headers = dict(line.split(": ", 1) for line in lines)
            size = 0 if bodiless else int(headers.get("content-length", "0"))
            return Reply(int(first.split(" ")[1]), headers, await self.reader.readexactly(size))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def reset(self) -> None:
        """Break the connection off, as a killed process or a cut cable does."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


AHEAD = 1e9
"""Seconds, far more than any loop has run for."""


class StillListener(Listener):
    """Its time stands still, far ahead of the loop's: however slow the machine is, nothing is overdue but in `sweep_in`."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, time=lambda: AHEAD)


class Served:
    """What a test holds: the listener, its endpoint, the brokers and the port."""

    def __init__(
        self,
        brokers: Mapping[str, StubBroker],
        limits: IngressLimits,
        ready: Callable[[], bool],
        kind: type[Listener],
    ) -> None:
        self.brokers = brokers
        self.counters = IngressCounters()
        self.endpoint = Endpoint(brokers, limits, self.counters, ready)
        self.listener = kind(self.endpoint)
        self.port = 0

    @property
    def broker(self) -> StubBroker:
        return self.brokers["shop/orders"]

    def sweep_in(self, seconds: float) -> None:
        """End what is overdue so many seconds after everything else in the test."""
        self.listener.sweep(AHEAD + seconds)

    @contextlib.asynccontextmanager
    async def client(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname="localhost" if tls else None
        )
        client = Client(reader, writer)
        try:
            yield client
        finally:
            await client.leave()


@contextlib.asynccontextmanager
async def serving(
    limits: IngressLimits | None = None,
    *,
    brokers: Mapping[str, StubBroker] | None = None,
    ready: Callable[[], bool] = lambda: True,
    tls: ssl.SSLContext | None = None,
    kind: type[Listener] = StillListener,
) -> AsyncIterator[Served]:
    """A listener on a port of its own, with the broker shop/orders."""
    served = Served(brokers or {"shop/orders": StubBroker()}, limits or IngressLimits(), ready, kind)
    served.port = await served.listener.open("127.0.0.1", 0, tls=tls)
    try:
        yield served
    finally:
        async with asyncio.timeout(PATIENCE):
            await served.listener.close()


def head(
    *lines: str,
    method: str = "POST",
    path: str = "/shop/orders",
    version: str = "HTTP/1.1",
    host: str | None = "a",
) -> bytes:
    """A request head of these header lines."""
    first = [f"{method} {path} {version}", *([f"host: {host}"] if host is not None else [])]
    return ("\r\n".join([*first, *lines]) + "\r\n\r\n").encode("latin-1")


def event_lines(id: str = "1", **changes: str | None) -> list[str]:
    """The ce-* lines of a valid event."""
    attributes: dict[str, str | None] = {
        "specversion": "1.0",
        "id": id,
        "source": "/test",
        "type": "order.created",
        **changes,
    }
    return [f"ce-{name}: {value}" for name, value in attributes.items() if value is not None]


def event(id: str = "1", body: bytes = b"{}", *lines: str, path: str = "/shop/orders") -> bytes:
    """A whole request with a valid binary event."""
    return (
        head(
            *event_lines(id),
            "content-type: application/json",
            f"content-length: {len(body)}",
            *lines,
            path=path,
        )
        + body
    )


def chunked(id: str, *parts: bytes) -> bytes:
    """The same with a chunked body."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return head(*event_lines(id), "transfer-encoding: chunked") + body


def structured(*ids: str, batch: bool = False) -> bytes:
    """A request with one structured event, or a batch."""
    events = [{"specversion": "1.0", "id": id, "source": "/test", "type": "t"} for id in ids]
    kind = "application/cloudevents-batch+json" if batch else "application/cloudevents+json"
    body = json.dumps(events if batch else events[0]).encode()
    return head(f"content-type: {kind}", f"content-length: {len(body)}") + body
