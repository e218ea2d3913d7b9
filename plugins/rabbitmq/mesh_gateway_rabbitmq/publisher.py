"""Publishing with confirms: all messages of a publish go out at once, and each gets its verdict.

Confirms come for single tags or for all up to one; a message that no queue took comes back *before* its confirm.
A channel with a confirm that did not come in time is discarded: a late one would be taken for another's.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence

from pamqp import commands

from mesh_gateway.errors import (
    ChannelGone,
    ConnectionLost,
    EventError,
    EventTooLarge,
    NotPermitted,
    PublishError,
    TransportError,
)
from mesh_gateway.event import Event
from mesh_gateway_rabbitmq import fields, frames
from mesh_gateway_rabbitmq.link import Channel, Link
from mesh_gateway_rabbitmq.messages import encode

HEAD_BYTES = 32
"""Room for what stands around the properties in their frame."""


class Pending:
    """The tags of one publish: which are open, which went wrong."""

    __slots__ = ("done", "exchange", "first", "last", "left", "rejected", "returned")

    def __init__(self, exchange: str, first: int, count: int) -> None:
        self.exchange = exchange
        self.first, self.last = first, first + count - 1
        self.left = [*range(first, first + count)]  # in order: what a confirm speaks about is a slice
        self.rejected: set[int] = set()
        self.returned: dict[int, str] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def reason(self, error: TransportError, *, alone: bool) -> TransportError:
        """What the end of the channel means here. That nothing was stored is sure only of one message that no other to
        its exchange went before; of another's exchange that is gone we only know that we were cut off.
        """
        if not isinstance(error, ChannelGone | NotPermitted):
            return error
        if f"'{self.exchange}'" not in str(error):
            return ConnectionLost(f"its channel was closed meanwhile: {error}", retry_after=1)
        if alone and self.first == self.last:
            return error
        return ConnectionLost(str(error), retry_after=1)

    def confirm(self, tag: int, *, multiple: bool, good: bool) -> None:
        """The server has spoken about this tag, or all up to it."""
        left = self.left
        begin = 0 if multiple else bisect_left(left, tag)
        end = bisect_right(left, tag)
        if not good:
            self.rejected.update(left[begin:end])
        del left[begin:end]
        if not left and not self.done.done():
            self.done.set_result(None)


class Confirming:
    """One channel in confirm mode. `send` may be called concurrently; each waits for its own confirms."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._next = 1
        self._pending: deque[Pending] = deque()
        self._nonce = uuid.uuid4().hex.encode()
        channel.on_confirm = self._confirmed
        channel.on_return = self._came_back
        channel.on_blocked = self._blocked
        channel.on_closed = self._closed

    @classmethod
    async def open(cls, link: Link) -> Confirming:
        """A channel of its own. Raises `TransportError`."""
        channel = await link.channel()
        await channel.call(commands.Confirm.Select(), commands.Confirm.SelectOk, "ask for confirms")
        channel.doing = "publish"
        return cls(channel)

    def message_id(self, offset: int) -> bytes:
        """The id of the message that will be sent `offset` after the next: fresh for every attempt, and never the
        event's own, by which two attempts could be taken for one another.
        """
        return b"%b-%d" % (self._nonce, self._next + offset)

    def send(self, exchange: str, messages: Sequence[tuple[bytes, bytes]]) -> Pending:
        """Write them all. Raises `TransportError` when the channel is over."""
        self.channel.check()
        pending = Pending(exchange, self._next, len(messages))
        self._next += len(messages)
        self._pending.append(pending)
        link = self.channel.link
        link.write(frames.publish(self.channel.number, exchange, messages, link.frame_max))
        return pending

    def _confirmed(self, tag: int, multiple: bool, good: bool) -> None:  # the channel's callback
        for pending in self._pending:
            if pending.first > tag:
                break
            if multiple or tag <= pending.last:
                pending.confirm(tag, multiple=multiple, good=good)
        while self._pending and not self._pending[0].left:
            self._pending.popleft()

    def _came_back(self, properties: bytes, why: str) -> None:
        nonce, _, tag = (fields.read(properties).message_id or "").rpartition("-")
        if nonce.encode() == self._nonce and tag.isdecimal():
            for pending in self._pending:
                if pending.first <= int(tag) <= pending.last:
                    pending.returned[int(tag)] = why

    def _blocked(self, error: TransportError) -> None:
        if self._pending:
            self.channel.discard(error)

    def _closed(self, error: TransportError) -> None:
        open = [pending for pending in self._pending if pending.left]
        to = Counter(pending.exchange for pending in open)
        for pending in open:
            if not pending.done.done():
                pending.done.set_exception(pending.reason(error, alone=to[pending.exchange] == 1))
                pending.done.exception()  # whoever waited may be gone
        self._pending.clear()


class Publisher:
    """Publishes events to exchanges, over one confirming channel that is replaced when it cannot be trusted."""

    def __init__(self, link: Link, *, deadline: float, now: Callable[[], float] = time.time) -> None:
        self._link = link
        self._deadline = deadline
        self._now = now
        self._confirming: Confirming | None = None
        self._opening = asyncio.Lock()

    async def publish(self, exchange: str, events: Sequence[Event], limit: int) -> None:
        """Durable in every queue of the exchange when it returns. Raises `PublishError`, `StoreFull` while the
        server is blocked, or another `TransportError` when nothing was sent.
        """
        self._link.check_writable()
        confirming = await self._current()
        messages: list[tuple[bytes, bytes]] = []
        places: list[int] = []
        refused: dict[int, EventError] = {}
        now = int(self._now())
        room = self._link.frame_max - HEAD_BYTES
        for index, event in enumerate(events):
            try:
                properties, body = encode(event, confirming.message_id(len(messages)), now)
                if len(properties) > room or len(body) > limit:
                    raise self._too_large(properties, body, limit)
            except EventTooLarge as error:
                refused[index] = error
            except fields.BadFields as error:
                refused[index] = EventTooLarge(f"the event does not fit into an AMQP message: {error}")
            else:
                messages.append((properties, body))
                places.append(index)
        pending = confirming.send(exchange, messages) if messages else None
        try:
            if pending is not None:
                async with asyncio.timeout(self._deadline):
                    await pending.done
        except TimeoutError:
            await self._discard(confirming)
            why = f"RabbitMQ has not confirmed within {self._deadline:g} s"
            raise self._verdict(why, pending, places, refused, unknown=True, cause=None) from None
        except (ChannelGone, NotPermitted):
            raise  # of the exchange, and nothing of this publish was stored
        except TransportError as error:
            raise self._verdict(str(error), pending, places, refused, unknown=True, cause=error) from error
        except asyncio.CancelledError:
            await self._discard(confirming)
            raise
        if pending is not None and (pending.rejected or pending.returned):
            why = next(iter(pending.returned.values()), "the queue is full (its overflow is reject-publish)")
            raise self._verdict(
                f"RabbitMQ did not store it: {why}", pending, places, refused, unknown=False, cause=None
            )
        if refused:
            raise PublishError(str(next(iter(refused.values()))), refused=refused)

    def _verdict(
        self,
        why: str,
        pending: Pending | None,
        places: list[int],
        refused: dict[int, EventError],
        *,
        unknown: bool,
        cause: TransportError | None,
    ) -> PublishError:
        assert pending is not None
        failed = {places[tag - pending.first] for tag in pending.rejected | pending.returned.keys()}
        open = {places[tag - pending.first] for tag in pending.left} if unknown else set()
        retry_after = cause.retry_after if cause is not None else 1
        return PublishError(
            why, failed=failed, unknown=open - failed, refused=refused, retry_after=retry_after
        )

    def _too_large(self, properties: bytes, body: bytes, limit: int) -> EventTooLarge:
        if len(body) > limit:
            return EventTooLarge(
                f"the event has {len(body)} bytes, the limit here is {limit} (maxMessageBytes)"
            )
        return EventTooLarge(
            f"the event's attributes take {len(properties)} bytes; in RabbitMQ they have to fit into one frame of "
            f"{self._link.frame_max}"
        )

    async def _current(self) -> Confirming:
        async with self._opening:
            if self._confirming is None or self._confirming.channel.closed is not None:
                self._confirming = await Confirming.open(self._link)
            return self._confirming

    async def _discard(self, confirming: Confirming) -> None:
        """Close a channel whose confirms cannot be trusted; others that wait on it learn that nothing is known."""
        if self._confirming is confirming:
            self._confirming = None
        confirming.channel.discard(
            ConnectionLost("the channel was discarded: a confirm did not come", retry_after=1)
        )
