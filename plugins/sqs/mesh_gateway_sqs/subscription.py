"""Reading one queue: tasks of its own poll and extend what is held, so that a receive that is cancelled loses nothing.

poll ─▶ arrived ─▶ receive ─▶ settle ─▶ DeleteMessageBatch          every third of the visibility timeout ─▶ extended
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from mesh_gateway.errors import ConnectionLost, InvalidEvent, Throttled, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.wire.unreadable import wrapped
from mesh_gateway_sqs import api
from mesh_gateway_sqs.api import Message, System
from mesh_gateway_sqs.batches import BATCH
from mesh_gateway_sqs.client import Sqs, Unknown
from mesh_gateway_sqs.clock import Clock
from mesh_gateway_sqs.messages import decode
from mesh_gateway_sqs.receipts import RETRY_SECONDS, Held, Receipts

__all__ = ["Held", "SqsSubscription"]

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""How long an empty receive waits; the contract says about a second. Whatever arrives ends it at once."""

POLLS = 4
"""Under way at a time while there is a backlog. One alone brings ten messages in a round trip: at 10 ms, a thousand a second."""

BACKLOG = 10
"""Full answers in a row that are taken for one. A crowd of producers fills fewer, too: taken for a backlog they made half as many
polls again, a fifth of which came empty."""

ARRIVED_LIMIT = 100
"""Messages that wait to be received before polling pauses: what is here is invisible to other gateways."""

HELD_LIMIT = 60_000
"""Messages that one gateway holds: half of the 120,000 that SQS allows a queue in flight."""

LONGEST_DELAY = 39_600.0
"""Seconds: of the 12 hours, one hour is left for having been held."""

HELD_SECONDS = 39_600.0
"""A message that is held longer is given back: it would be taken away from us in the middle."""


class SqsSubscription:
    """Implements `Subscription`. A delivery's token is its message as it is held.

    `bury` publishes an unreadable message to the dead letters; `left` is called once it has closed.
    """

    def __init__(
        self,
        sqs: Sqs,
        channel: str,
        queue: str,
        *,
        visibility: float,
        wait: float,
        fifo: bool,
        bury: Callable[[Event], Awaitable[None]],
        unreadable: Callable[[str, str], None],
        left: Callable[[SqsSubscription], None],
        clock: Clock,
    ) -> None:
        self.channel, self.queue = channel, queue
        self._sqs, self._visibility, self._wait = sqs, visibility, wait
        self._receipts = Receipts(sqs, queue, clock, self._lose, fifo=fifo)
        self._fifo = fifo
        self._most_polls = 1 if fifo else POLLS
        self._payload = {
            "QueueUrl": queue,
            "MaxNumberOfMessages": BATCH,
            "VisibilityTimeout": round(visibility),
            "MessageSystemAttributeNames": ["SentTimestamp", "MessageGroupId"],
            "MessageAttributeNames": ["All"],
        }
        self._bury, self._unreadable, self._left = bury, unreadable, left
        self._clock = clock
        self._arrived: deque[Delivery] = deque()
        self._held: dict[str, Held] = {}
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._failure: TransportError | None = None
        self._stopping = False
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._polls: set[asyncio.Task[None]] = set()
        self._begin(self._extend(), f"sqs extends {queue}")
        self._polls.add(self._begin(self._poll(), f"sqs polls {queue}"))

    def _begin(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)
            self._polls.discard(task)
        self._news.set()

    # ── the contract ─────────────────────────────────────────────────────────────────────────

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """As `Subscription.receive`; ends empty when the subscription is closed meanwhile."""
        self._check()
        if not self._arrived:
            await self._something()
            if self._stopping:
                return ()
            self._check()
            if not self._arrived:
                return ()
        found: list[Delivery] = []
        while self._arrived and len(found) < limit:
            delivery = self._arrived.popleft()
            if not delivery.token.lost:
                found.append(delivery)
        self._taken.set()
        return found

    async def _something(self) -> None:
        """Returns when something has arrived or happened, or nothing for as long as a receive waits.

        By a timer, at a quarter of what `asyncio.timeout` costs.
        """
        self._news.clear()
        timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    async def settle(self, done: Sequence[Delivery]) -> None:
        """As `Subscription.settle`; deleted when it returns. Raises `TransportError`: what it names comes again."""
        self._check()
        mine = self._taken_back(done)
        try:
            await self._receipts.delete(mine)
        except asyncio.CancelledError:
            # Nobody knows which are deleted: all stay ours, and a second delete does no harm.
            for one in mine:
                if not one.lost:
                    self._held.setdefault(one.id, one)
            raise

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """As `Subscription.release`."""
        self._check()
        if delay is not None and delay > LONGEST_DELAY:
            raise Unsupported(f"SQS keeps a message invisible for {LONGEST_DELAY:g} s at most")
        behind = self._behind(back) if self._fifo else []
        await self._receipts.hide(self._taken_back(back), delay or 0)
        await self._receipts.hide(behind, 0)

    def _behind(self, back: Sequence[Delivery]) -> list[Held]:
        """What has arrived of the same groups and was not received yet: it would overtake what is given back."""
        groups = {delivery.key for delivery in back}
        behind = [delivery for delivery in self._arrived if delivery.key in groups]
        for delivery in behind:
            self._arrived.remove(delivery)
        return self._taken_back(behind)

    def _taken_back(self, deliveries: Sequence[Delivery]) -> list[Held]:
        """Those of them that we have; from now on we have them no more."""
        mine: list[Held] = []
        for delivery in deliveries:
            held: Held = delivery.token
            if self._held.get(held.id) is held:
                mine.append(self._held.pop(held.id))
        self._taken.set()
        return mine

    def _lose(self, held: Held) -> None:
        held.lost = True
        if self._held.get(held.id) is held:
            del self._held[held.id]
        self._taken.set()

    async def close(self) -> None:
        """As `Subscription.close`: waits for the poll that is under way, and gives back what is held."""
        if self._closed:
            return
        self._closed = self._stopping = True
        self._news.set()
        self._taken.set()
        for task in self._tasks - self._polls:
            task.cancel()
        if self._polls:
            await asyncio.wait(self._polls, timeout=self._wait + 1)
        for task in self._polls:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        held = list(self._held.values())
        self._held.clear()
        try:
            await self._receipts.hide(held, 0)
        except TransportError as error:
            log.info(
                "what was held of %s comes again when its visibility timeout ends: %s", self.queue, error
            )
        self._left(self)

    @property
    def held(self) -> int:
        """Messages that we have and that are not settled."""
        return len(self._held)

    # ── the tasks ────────────────────────────────────────────────────────────────────────────

    @property
    def _going(self) -> bool:
        return not self._stopping and self._failure is None

    @property
    def _room(self) -> bool:
        return len(self._arrived) < ARRIVED_LIMIT and len(self._held) < HELD_LIMIT

    async def _poll(self) -> None:
        """Wait for messages; while there is a backlog, others poll beside."""
        full = 0
        while self._going:
            if not self._room:
                self._taken.clear()
                await self._taken.wait()
                continue
            full = full + 1 if await self._polled(self._wait) == BATCH else 0
            if full >= BACKLOG and len(self._polls) < self._most_polls:
                full = 0
                self._polls.add(self._begin(self._poll_beside(), f"sqs polls {self.queue}, too"))

    async def _poll_beside(self) -> None:
        """Take what is there, until there is less than an answer holds."""
        while self._going and self._room and await self._polled(0) == BATCH:
            pass

    async def _polled(self, wait: float) -> int:
        """How many messages a poll has brought; of what went wrong whoever reads hears."""
        try:
            return await self._poll_once(wait)
        except Throttled as error:
            await self._clock.sleep(error.retry_after or RETRY_SECONDS)
        except TransportError as error:
            lost = ConnectionLost(f"queue {self.queue} cannot be read: {error}", retry_after=1)
            self._failure = lost if isinstance(error, Unknown) else error
            self._news.set()
        return 0

    async def _poll_once(self, wait: float) -> int:
        payload = self._payload | {"WaitTimeSeconds": round(wait)}
        answer = await self._sqs.call("ReceiveMessage", payload, api.received, wait + 10)
        now = self._clock.time()
        messages = answer.messages or ()
        for message in messages:
            why = self._arrive(message, now)
            if why is not None:
                await self._park(message, why)
        if self._arrived:
            self._news.set()
        return len(messages)

    def _arrive(self, message: Message, now: float) -> str | None:
        """Take it in, unless we have it or it came damaged. Why it is no event, if it is none."""
        held = self._held.get(message.message_id)
        if held is not None:
            # It ran out before it was extended and came again: we have its event, and now the handle that counts.
            held.handle, held.since = message.receipt_handle, now
            return None
        if message.damaged:
            # Not held: it becomes visible again, and the next answer may bring it whole.
            log.warning("a message of %s came damaged and is left to come again", self.queue)
            return None
        try:
            event = decode(message.body, message.beside())
        except InvalidEvent as error:
            return str(error)
        held = self._held[message.message_id] = Held(message.message_id, message.receipt_handle, now)
        system = message.attributes or System()
        key = event.attributes.get("partitionkey") or system.message_group_id
        sent = float(system.sent_timestamp) / 1000
        self._arrived.append(Delivery(event, held, message.message_id, key, None, sent))
        return None

    async def _park(self, message: Message, why: str) -> None:
        """Durable with the dead letters first; what cannot be parked becomes visible again by itself."""
        headers = {name: str(value.get("StringValue")) for name, value in message.texts().items()}
        event = wrapped(
            message.body.encode(),
            channel=self.channel,
            position=message.message_id,
            why=why,
            headers=headers,
        )
        try:
            await self._bury(event)
        except TransportError as error:
            log.warning("an unreadable message of %s stays in its queue: %s", self.queue, error)
            return
        self._unreadable(self.channel, f"queue {self.queue}: {why}")
        await self._receipts.delete([Held(message.message_id, message.receipt_handle, self._clock.time())])

    async def _extend(self) -> None:
        """What is held stays invisible to others, until it would be too old for SQS."""
        while True:
            await self._clock.sleep(self._visibility / 3)
            now = self._clock.time()
            old = [held for held in self._held.values() if now - held.since >= HELD_SECONDS]
            for held in old:
                self._lose(held)
            try:
                await self._receipts.hide(old, 0)
                await self._receipts.hide(list(self._held.values()), self._visibility)
            except TransportError as error:
                log.warning(
                    "what is held of %s could not be extended, it may come again: %s", self.queue, error
                )

    def _check(self) -> None:
        if self._closed:
            raise ConnectionLost("the subscription is closed")
        if self._failure is not None:
            raise self._failure
        for task in self._tasks:
            # One that ended by itself has met a bug: whoever reads has to hear of it, or nobody reads the queue.
            if task.done() and not task.cancelled() and (bug := task.exception()) is not None:
                raise bug
