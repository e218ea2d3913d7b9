"""What one worker stores for another: events go over a private socket into the store of the worker that has their key.

    Neighbour.store ─▶ frame of records ─▶ Door ─▶ that worker's store ─▶ durable ─▶ frame of verdicts

A connection carries one request at a time. What broke before the verdict was there is unknown, as with any broker.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

import msgspec
import structlog

from mesh_gateway.errors import InvalidEvent, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.gateway.workers.frames import frame, framed
from mesh_gateway.transport.contract import Transport
from mesh_gateway.wire import stored

log = structlog.get_logger("mesh_gateway.workers")

AGAIN_SECONDS = 1.0
"""For a producer whose events' worker is away: it is started again at once, and up in about that time."""


class Give(msgspec.Struct, array_like=True):
    """Store these in this channel."""

    transport: str
    channel: str
    records: list[bytes]


class Given(msgspec.Struct, array_like=True):
    """What became of them, as `PublishError` has it: durable, unless named here."""

    failed: list[int] = []
    unknown: list[int] = []
    why: str = ""
    retry_after: float | None = None


_encode = msgspec.msgpack.Encoder().encode
_give = msgspec.msgpack.Decoder(Give).decode
_given = msgspec.msgpack.Decoder(Given).decode

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Neighbour:
    """The store of another worker. Any number may store at a time; a cancelled one leaves its outcome unknown."""

    def __init__(self, number: int, path: str) -> None:
        self._number = number
        self._path = path
        self._idle: list[Streams] = []

    async def store(self, transport: str, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`, in that worker. Raises `PublishError`."""
        request = _encode(Give(transport, channel, list(map(stored.encode, events))))
        try:
            streams = self._idle.pop() if self._idle else await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise self._away(
                f"cannot be reached ({error.strerror or error})", failed=range(len(events))
            ) from error
        answered = False
        try:
            reader, writer = streams
            writer.write(framed(request))
            await writer.drain()
            given = _given(await frame(reader))
            answered = True
        except (OSError, asyncio.IncompleteReadError) as error:
            raise self._away("has ended meanwhile", unknown=range(len(events))) from error
        finally:
            if answered:
                self._idle.append(streams)
            else:
                _hang_up(streams[1])
        if given.failed or given.unknown:
            raise PublishError(
                given.why, failed=given.failed, unknown=given.unknown, retry_after=given.retry_after
            )

    def _away(self, why: str, *, failed: Sequence[int] = (), unknown: Sequence[int] = ()) -> PublishError:
        text = f"worker {self._number}, which stores the events of this key, {why}"
        return PublishError(text, failed=failed, unknown=unknown, retry_after=AGAIN_SECONDS)

    def close(self) -> None:
        """Hang up."""
        while self._idle:
            _hang_up(self._idle.pop()[1])


class Door:
    """Where neighbours hand over what is ours. `run` has one owner; cancelling it ends every request under way."""

    def __init__(self, listening: socket.socket, store: Callable[[str], Transport | None]) -> None:
        """`store` gives the open embedded transport of this name."""
        self._listening = listening
        self._store = store

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        self._listening.settimeout(0)
        async with asyncio.TaskGroup() as tasks:
            while True:
                connection, _ = await loop.sock_accept(self._listening)
                tasks.create_task(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            while True:
                given = await self._stored(_give(await frame(reader)))
                writer.write(framed(_encode(given)))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # it has hung up, or ended
        finally:
            _hang_up(writer)

    async def _stored(self, give: Give) -> Given:
        everything = list(range(len(give.records)))
        transport = self._store(give.transport)
        if transport is None:
            return Given(everything, why="its store is not open", retry_after=AGAIN_SECONDS)
        try:
            await transport.publish(give.channel, list(map(stored.decode, give.records)))
        except PublishError as error:
            return Given(
                sorted(error.failed | error.refused.keys()),
                sorted(error.unknown),
                str(error),
                error.retry_after,
            )
        except (TransportError, InvalidEvent) as error:
            after = error.retry_after if isinstance(error, TransportError) else None
            return Given(everything, why=str(error), retry_after=after)
        return Given()


def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    writer.transport.abort()  # `close` alone would wait for what a frozen neighbour does not read
