"""The parked channel of a trigger or relay: what does not fit its window waits on disk, not in memory.

A parked copy is published to the trigger's own channel and then counted as done, so the broker's
reader goes on and a stuck subscriber delays nobody. When the window has room again, a reader of
this channel alone brings the copies back; it ends when the channel is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.insist import InOrder, Insist
from mesh_gateway.delivery.lanes import Copy
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.errors import EventError
from mesh_gateway.event import Event
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import EARLIEST, SHARED, Delivery, Measurable, Subscription
from mesh_gateway.transport.ledger import Ledger

PARKING_LIMIT = 1_000
"""Copies on their way into the parked channel before the reader is held back: one full batch of
the group commit, so that parking runs at the speed of the store and not of the reader."""

READ_LIMIT = 256
"""Copies brought back at a time; enough to keep a reader cheap, small beside the window."""

LOOK_AGAIN = 300.0
"""Seconds between two looks of a trigger that has parked nothing itself. What is parked may have been left by another
gateway. One small question for each trigger: a thousand of them at a millisecond of CPU are a third of a percent of a core."""

LOOK_SOON = 5.0
"""The same while there is something that the server does not give: it holds it for a gateway that lives, or for one that has died,
for half a minute or so. After each look that brings nothing back it is twice as long, up to `LOOK_AGAIN`."""


class Moved(Protocol):
    """Counts of what went out and came back."""

    parked: int
    unparked: int


Take = Callable[[Delivery, Callable[[Delivery], None]], None]


class Parking:
    """Parks copies, and brings them back through `take` when `room()` says so; `ordered`: in the order they came in, and
    none before `run` begins, so that they come after what a predecessor parks. `first`: what is parked comes back before
    the reader reads anything; the gate is held until then.

    `run` has one owner and may raise `TransportError`; it can then be run again.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        gate: Gate,
        take: Take,
        room: Callable[[], int],
        counters: Moved,
        clock: Clock,
        ordered: bool = False,
        first: bool = False,
    ) -> None:
        self.channel = channel
        self._gate = gate
        self._take = take
        self._room = room
        self._counters = counters
        self._clock = clock
        self._store: Insist | InOrder
        if ordered:
            # As many at once as the transport stores in one go: of two batches the second might be stored alone.
            self._store = InOrder(channel.publish, clock, channel.transport.capabilities.max_batch)
        else:
            self._store = Insist(channel.publish, clock)
        self._wanted = asyncio.Event()
        self._news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._arrived = asyncio.Event()
        self._arrived.set()
        self._published = 0
        self.drained: bool
        """Nothing is parked. Not known before the first look into the channel."""
        self.wants_room = False
        """It waits for `resume`."""
        self._next_look = LOOK_AGAIN
        self._in_vain = 0
        """Looks since the last that brought something back."""
        self._first = first
        self._not_drained()

    @property
    def on_the_way(self) -> int:
        """Copies that are being parked and not durable yet."""
        return self._store.waiting

    def park(self, copy: Copy, event: Event | None = None) -> None:
        """Take this copy out of memory; it is finished once it is durable in the parked channel, as `event` if
        that differs from what came.
        """
        self._not_drained()
        self._arrived.clear()
        self._counters.parked += 1

        def parked(error: EventError | None) -> None:
            # A refusal cannot be buried here: the copy keeps its place in the broker's channel.
            if error is None:
                copy.finish(copy.delivery)
            self._published += 1
            if self._store.waiting == 0:
                self._arrived.set()
            self._let()

        self._store.store(event or copy.delivery.event, parked)
        if self._store.waiting >= PARKING_LIMIT:
            self._gate.hold(self)
        self._want()

    async def arrived(self) -> None:
        """Returns once nothing is on its way into the parked channel."""
        await self._arrived.wait()

    def leave(self) -> None:
        """Nothing is offered any more, so nothing has to be waited for."""
        self._first = False
        self._let()

    def resume(self) -> None:
        """The window has room again."""
        self._has_room.set()

    def wake(self) -> None:
        """Something else has published into the parked channel (a redrive)."""
        self._not_drained()
        self._published += 1
        self._want()

    def _want(self) -> None:
        self._wanted.set()
        self._news.set()
        self._has_room.set()

    def stop(self) -> None:
        """Park nothing more; what is on the way stays unsettled where it came from, and holds nobody back."""
        self._store.stop()
        self._gate.let(self)

    async def run(self) -> None:
        """Bring parked copies back for as long as there are any, then wait for the next."""
        self._store.begin()
        if await self._anything_left():
            self._wanted.set()
        else:
            self.drained = self._store.waiting == 0
        self._let()
        while True:
            await self._until_wanted()
            self._wanted.clear()
            before = self._counters.unparked
            try:
                await self._bring_back()
                await self._plan_the_next_look(in_vain=self._counters.unparked == before)
            except BaseException:
                self._wanted.set()
                raise

    async def _until_wanted(self) -> None:
        """Something was parked here, or lies there all the same."""
        while not self._wanted.is_set():
            self._news.clear()
            timer = self._clock.call_at(self._clock.time() + self._next_look, self._news.set)
            try:
                await self._news.wait()
            finally:
                timer.cancel()
            if not self._wanted.is_set() and await self._anything_left():
                self._not_drained()
                return
            self._next_look = LOOK_AGAIN

    async def _plan_the_next_look(self, *, in_vain: bool) -> None:
        if not in_vain:
            self._in_vain = 0
        self._next_look = LOOK_AGAIN
        if await self._anything_left():
            self._next_look = min(LOOK_SOON * 2**self._in_vain, LOOK_AGAIN)
            self._in_vain += 1

    async def _anything_left(self) -> bool:
        transport = self.channel.transport
        if not isinstance(transport, Measurable):
            return True
        return (await transport.backlog(self.channel.name, SHARED)).events > 0

    async def _bring_back(self) -> None:
        subscription = await self.channel.subscribe(SHARED, EARLIEST)
        ledger = Ledger(subscription)
        try:
            async with asyncio.TaskGroup() as tasks:
                settling = tasks.create_task(ledger.run())
                await self._read_until_settled(subscription, ledger)
                settling.cancel()
        finally:
            await ledger.close()

    async def _read_until_settled(self, subscription: Subscription, ledger: Ledger) -> None:
        while True:
            published = self._published
            deliveries = await subscription.receive(await self._wait_for_room())
            ledger.received(len(deliveries))
            for delivery in deliveries:
                delivery.pending = 1
                self._counters.unparked += 1
                self._take(delivery, ledger.finish)
            if not deliveries and self._store.waiting == 0 and published == self._published:
                self.drained = True
                self._let()
                if ledger.outstanding == 0:
                    return

    def _not_drained(self) -> None:
        self.drained = False
        if self._first:
            self._gate.hold(self)

    def _let(self) -> None:
        if self._store.waiting < PARKING_LIMIT and (self.drained or not self._first):
            self._gate.let(self)

    async def _wait_for_room(self) -> int:
        try:
            while (room := self._room()) <= 0:
                self.wants_room = True
                self._has_room.clear()
                await self._has_room.wait()
        finally:
            self.wants_room = False
        return min(room, READ_LIMIT)
