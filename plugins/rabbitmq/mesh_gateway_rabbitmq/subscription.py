"""One consumer of one queue, with a connection of its own.

server ─▶ arrived ─▶ receive ─▶ settle ─▶ one acknowledgement for all up to the first that is still held
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from pamqp import commands

from mesh_gateway import attributes as rules
from mesh_gateway.errors import ChannelGone, ConnectionLost, InvalidEvent, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.wire.unreadable import wrapped
from mesh_gateway_rabbitmq import fields, frames
from mesh_gateway_rabbitmq.link import Channel, Link
from mesh_gateway_rabbitmq.messages import COUNTS, fingerprint, received

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""How long an empty receive waits; the contract says about a second. Whatever arrives ends it at once."""

HELD_BYTES = 32 * 2**20
"""Bytes that have arrived and wait to be received before the socket is left alone: prefetch counts messages only,
and a message may be large. Nothing else in AMQP 0-9-1 bounds bytes, and a socket that is left alone serves nobody:
so each reader has its own."""

RETRY_SECONDS = 1.0
"""Before an unreadable message that could not be parked is tried again."""

Arrived = tuple[int, bytes, bytes]


class RabbitSubscription:
    """Implements `Subscription`. A delivery's token is its delivery tag on this subscription's channel.

    `link` is nobody else's, and closed with it. `bury` publishes an unreadable message to the dead letters; `left` is
    called once it has closed.
    """

    def __init__(
        self,
        link: Link,
        channel: str,
        queue: str,
        *,
        bury: Callable[[Event], Awaitable[None]],
        unreadable: Callable[[str, str], None],
        left: Callable[[RabbitSubscription], None],
    ) -> None:
        self.channel, self.queue = channel, queue
        self._link = link
        self._bury, self._unreadable, self._left = bury, unreadable, left
        self._channel: Channel
        self._arrived: deque[Arrived] = deque()
        self._arrived_bytes = 0
        self._news: asyncio.Future[None] | None = None
        """What the last receive waits for, or has waited for."""
        self._open: dict[int, float | None] = {}
        self._last = 0
        self._failure: BaseException | None = None
        self._burying: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self, prefetch: int) -> None:
        """Begin to consume. Raises `TransportError`."""
        channel = self._channel = await self._link.channel()
        channel.on_deliver, channel.on_cancel, channel.on_closed = self._deliver, self._cancelled, self._fail
        doing = f"consume from queue {self.queue}"
        await channel.call(commands.Basic.Qos(0, prefetch), commands.Basic.QosOk, doing)
        await channel.call(commands.Basic.Consume(queue=self.queue), commands.Basic.ConsumeOk, doing)

    # ── from the server ──────────────────────────────────────────────────────────────────────

    def _deliver(self, tag: int, again: bool, properties: bytes, body: bytes) -> None:  # callback
        if self._closed:  # on its way since before; it goes back with the channel
            return
        self._open[tag] = None
        self._last = tag
        self._arrived.append((tag, properties, body))
        self._arrived_bytes += len(body)
        if self._arrived_bytes > HELD_BYTES:
            self._link.hold_back()
        _tell(self._news)

    def _cancelled(self) -> None:
        self._fail(ChannelGone(f"queue {self.queue} was deleted, or has lost its leader"))

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        _tell(self._news)

    # ── the contract ─────────────────────────────────────────────────────────────────────────

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """As `Subscription.receive`; ends empty when the subscription is closed meanwhile."""
        self._check()
        if not self._arrived:
            await self._something()
            if self._closed:
                return ()
            self._check()
        return self._take(limit)

    async def _something(self) -> None:
        """Returns when there are news, or after a while. With an Event and a timeout an event that comes alone, as to a
        gateway that keeps up, costs half as much again.
        """
        loop = asyncio.get_running_loop()
        news = self._news = loop.create_future()
        timer = loop.call_later(WAIT_SECONDS, _tell, news)
        try:
            await news
        finally:
            timer.cancel()

    def _take(self, limit: int) -> list[Delivery]:
        arrived = self._arrived
        found: list[Delivery] = []
        while arrived and len(found) < limit:
            tag, raw, body = arrived.popleft()
            self._arrived_bytes -= len(body)
            try:
                event, position, published = received(raw, body)
            except (InvalidEvent, fields.BadFields) as error:
                self._park(tag, raw, body, str(error))
                continue
            at = None if published is None else float(published)
            self._open[tag] = at
            found.append(Delivery(event, tag, position, event.attributes.get("partitionkey"), None, at))
        if self._link.held_back and self._arrived_bytes < HELD_BYTES / 2:
            self._link.go_on()
        return found

    async def settle(self, done: Sequence[Delivery]) -> None:
        """As `Subscription.settle`; the server has it a moment later."""
        self._check()
        self._acknowledge(
            [delivery.token for delivery in done if self._open.pop(delivery.token, self) is not self]
        )

    def _acknowledge(self, tags: Sequence[int]) -> None:
        """Tags that are open no more: one frame for those before the first that is open still, one for each behind it."""
        number = self._channel.number
        held = next(iter(self._open), self._last + 1)
        out = [frames.ack(number, tag, multiple=False) for tag in tags if tag > held]
        if below := [tag for tag in tags if tag < held]:
            out.append(frames.ack(number, max(below), multiple=True))
        if out:
            self._link.write(b"".join(out))

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """As `Subscription.release`; the server hands it to whoever comes first."""
        self._check()
        if delay:
            raise Unsupported("RabbitMQ cannot hold a message back; release it without a delay")
        out: list[bytes] = []
        for delivery in back:
            tag = delivery.token
            if self._open.pop(tag, self) is not self:
                out.append(frames.requeue(self._channel.number, tag))
        if out:
            self._link.write(b"".join(out))

    async def close(self) -> None:
        """As `Subscription.close`. Bounded; raises nothing."""
        if self._closed:
            return
        self._closed = True
        _tell(self._news)
        for task in self._burying:
            task.cancel()
        try:
            await asyncio.gather(*self._burying, return_exceptions=True)
            self._link.go_on()
            await self._channel.close()
        finally:
            # Cancelled, too: over a connection that lives on the server would wait for us with what it has sent.
            await self._link.close()
            self._left(self)

    @property
    def held(self) -> int:
        """Messages that we have and that are not settled; when the channel is over, the queue has them again."""
        return 0 if self._channel.closed is not None else len(self._open)

    def oldest(self) -> float | None:
        """When the oldest of them was published, as far as it is known."""
        if self._channel.closed is not None:
            return None
        return next((at for at in self._open.values() if at is not None), None)

    # ── unreadable messages ──────────────────────────────────────────────────────────────────

    def _park(self, tag: int, raw: bytes, body: bytes, why: str) -> None:
        task = asyncio.get_running_loop().create_task(self._park_until_durable(tag, raw, body, why))
        self._burying.add(task)
        task.add_done_callback(self._parked)

    def _parked(self, task: asyncio.Task[None]) -> None:  # callback
        self._burying.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._fail(bug)  # whoever reads has to hear of it, or the message is held and never parked

    async def _park_until_durable(self, tag: int, raw: bytes, body: bytes, why: str) -> None:
        event = _as_letter(self.channel, raw, body, why)
        while True:
            try:
                await self._bury(event)
            except TransportError as error:
                log.warning("an unreadable message of %s stays in its queue: %s", self.queue, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        self._unreadable(self.channel, f"queue {self.queue}: {why}")
        if self._open.pop(tag, self) is not self and self._channel.closed is None:
            self._acknowledge([tag])

    def _check(self) -> None:
        if self._closed:
            raise ConnectionLost("the subscription is closed")
        if self._link.lost is not None and self._link.held_back:
            # The server gives up a connection that takes nothing for 30 s. No other reader has to suffer for it.
            raise TransportError(
                f"nobody took the messages of queue {self.queue}, and the server has closed the connection of their reader; "
                "what was not settled comes again",
                retry_after=1,
            )
        self._link.check()
        if self._failure is not None:
            raise self._failure


def _tell(news: asyncio.Future[None] | None) -> None:
    if news is not None and not news.done():
        news.set_result(None)


def _as_letter(channel: str, raw: bytes, body: bytes, why: str) -> Event:
    headers: dict[str, str] = {}
    message_id = None
    with contextlib.suppress(fields.BadFields):
        properties = fields.read(raw)
        headers = {
            name: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            for name, value in properties.headers.items()
            if name not in COUNTS
        }
        if properties.content_type is not None:
            headers["(content_type)"] = properties.content_type
        message_id = properties.message_id
    if not message_id or not rules.is_text(message_id):
        message_id = fingerprint(headers, body)
    return wrapped(body, channel=channel, position=message_id, why=why, headers=headers)
