"""Dead letters on a stream: read without being taken out. What was removed is told by messages in the same stream
(`x-mesh-removed: 3-5,9`), so that every gateway knows it and a crash forgets nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import islice

from pamqp import commands

from mesh_gateway.errors import ConnectionLost, InvalidEvent, StoreFull, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Stored
from mesh_gateway.wire.unreadable import wrapped
from mesh_gateway_rabbitmq import fields, frames
from mesh_gateway_rabbitmq.link import Link
from mesh_gateway_rabbitmq.messages import decode
from mesh_gateway_rabbitmq.publisher import Confirming

REMOVED = "x-mesh-removed"

MARK = "x-mesh-mark"
"""On a message that only says: up to here."""

QUIET_SECONDS = 0.25
"""Without a message before a stream is taken to be at its end, where being exact is not worth a mark."""

READ_SECONDS = 10.0
"""Without a message of a stream that should have more."""

CREDIT = 200
"""Messages of a stream on their way to us. Half of them are acknowledged together: one by one the server took three times
as long for each."""

Entry = tuple[int, fields.Properties, bytes]


class Letters:
    """The dead letters of one stream, as known by now; asks only for what came since. One user at a time."""

    def __init__(self, channel: str, exchange: str, queue: str) -> None:
        self._channel, self._exchange, self._queue = channel, exchange, queue
        self._next = 0
        self._alive: dict[int, float] = {}
        """Offset -> when it was published; in the order of the stream."""
        self._turn = asyncio.Lock()

    async def browse(self, link: Link, writing: Link, after: str | None, limit: int) -> list[Stored]:
        """Up to `limit` letters behind position `after`, oldest first. Raises `TransportError`."""
        begin = 0 if after is None else _number(after) + 1
        async with self._turn:
            try:
                await self._catch_up(link, writing)
            except StoreFull:  # no mark can be written now, and knowing nearly all is better than nothing
                await self._catch_up(link, None)
            wanted = list(islice((offset for offset in self._alive if offset >= begin), limit))
            if not wanted:
                return []
            chosen, found = set(wanted), []
            async with aclosing(_entries(link, self._queue, wanted[0], last=wanted[-1])) as entries:
                async for offset, properties, body in entries:
                    if offset in chosen:
                        event = self._event(offset, properties, body)
                        found.append(Stored(str(offset), event, self._alive[offset]))
            return found

    async def remove(self, link: Link, writing: Link, positions: Sequence[str]) -> int:
        """Take these out; how many were there. Durable when it returns. Raises `TransportError`."""
        async with self._turn:
            await self._catch_up(link, writing)
            gone = {offset for offset in map(_number, positions) if offset in self._alive}
            if not gone:
                return 0
            await self._note(writing, REMOVED, written(gone))
            for offset in gone:
                del self._alive[offset]
            return len(gone)

    async def count(self, link: Link) -> tuple[int, float | None]:
        """How many there are, and when the oldest came. Raises `TransportError`."""
        async with self._turn:
            await self._catch_up(link, None)
            return len(self._alive), min(self._alive.values(), default=None)

    async def _catch_up(self, link: Link, writing: Link | None) -> None:
        """Know what has come. The server says only every few seconds how long a stream is: to know it exactly a mark
        is written and read back, else reading ends when nothing more comes for a moment.
        """
        mark = None
        if writing is not None:
            mark = uuid.uuid4().bytes
            await self._note(writing, MARK, mark)
        async with aclosing(_entries(link, self._queue, self._next, mark=mark)) as entries:
            async for offset, properties, _ in entries:
                self._next = offset + 1
                removed = properties.headers.get(REMOVED)
                if isinstance(removed, bytes):
                    for gone in read(removed):
                        self._alive.pop(gone, None)
                elif MARK not in properties.headers:
                    self._alive[offset] = float(properties.timestamp or 0)

    async def _note(self, writing: Link, header: str, text: bytes) -> None:
        """Write a message of our own into the stream; durable when it returns. Raises `TransportError`.

        Never over the connection that asks: a server with an alarm reads nothing more of one that publishes.
        """
        writing.check_writable()
        confirming = await Confirming.open(writing)
        try:
            note = fields.write(None, fields.text(header.encode(), text), confirming.message_id(0), 0)
            pending = confirming.send(self._exchange, [(note, b"")])
            async with asyncio.timeout(READ_SECONDS):
                await pending.done
            if pending.rejected or pending.returned:
                raise TransportError(f"the stream {self._queue} did not take a note of ours")
        except TimeoutError:
            raise ConnectionLost(f"RabbitMQ has not confirmed a note in the stream {self._queue}") from None
        finally:
            confirming.channel.discard(ConnectionLost("the channel is closed"))

    def _event(self, offset: int, properties: fields.Properties, body: bytes) -> Event:
        """The letter; what somebody else wrote here and is no event is shown as it is."""
        try:
            return decode(properties, body)
        except InvalidEvent as error:
            return wrapped(body, channel=self._channel, position=str(offset), why=str(error), headers={})


async def _entries(
    link: Link, queue: str, first: int, *, last: int | None = None, mark: bytes | None = None
) -> AsyncGenerator[Entry, None]:
    """The entries of a stream from `first` on: up to `last`, or up to this mark of ours, both included, or until
    nothing more comes for a moment. Raises `TransportError`.
    """
    channel = await link.channel()
    arrived: asyncio.Queue[tuple[int, bytes, bytes]] = asyncio.Queue()
    channel.on_deliver = lambda tag, again, properties, body: arrived.put_nowait((tag, properties, body))
    doing = f"read stream {queue}"
    bounded = last is not None or mark is not None
    try:
        await channel.call(commands.Basic.Qos(0, CREDIT), commands.Basic.QosOk, doing)
        consume = commands.Basic.Consume(queue=queue, arguments={"x-stream-offset": first})
        await channel.call(consume, commands.Basic.ConsumeOk, doing)
        while True:
            if arrived.empty():  # a timer for each of what is here already would cost more than reading it
                async with asyncio.timeout(READ_SECONDS if bounded else QUIET_SECONDS):
                    tag, raw, body = await arrived.get()
            else:
                tag, raw, body = arrived.get_nowait()
            if tag % (CREDIT // 2) == 0:
                link.write(frames.ack(channel.number, tag, multiple=True))
            properties = fields.read(raw)
            offset = properties.headers.get("x-stream-offset")
            if not isinstance(offset, int):
                raise TransportError(f"queue {queue} is no stream: its messages have no offsets")
            if offset >= first:  # the server begins with the chunk that holds the offset
                yield offset, properties, body
            if offset == last or (mark is not None and properties.headers.get(MARK) == mark):
                return
    except TimeoutError:
        if bounded:
            raise ConnectionLost(
                f"the stream {queue} was not read to its end within {READ_SECONDS:g} s"
            ) from None
    finally:
        await channel.close()


def written(offsets: set[int]) -> bytes:
    """Offsets as ranges: `3-5,9`."""
    ranges: list[list[int]] = []
    for at in sorted(offsets):
        if ranges and ranges[-1][1] == at - 1:
            ranges[-1][1] = at
        else:
            ranges.append([at, at])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges).encode()


def read(text: bytes) -> list[int]:
    """The offsets that `written` wrote; nothing where somebody else wrote something else."""
    found: list[int] = []
    for part in filter(None, text.decode("ascii", "replace").split(",")):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (not last or last.isdecimal())):
            return []
        found += range(int(first), int(last or first) + 1)
    return found


def _number(position: str) -> int:
    if not position.isdecimal():
        raise Unsupported(f"{position!r} is no position of a dead letter; positions are decimal numbers")
    return int(position)
