"""A group's reading of a channel; several subscriptions of one group share its events."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Sequence

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.channel import Channel, Group
from mesh_gateway.transport.embedded.store import Row
from mesh_gateway.wire import stored

WAIT_SECONDS = 1.0
"""How long an empty receive waits; the contract says about a second."""


class EmbeddedSubscription:
    """Implements `Subscription`. One task receives; settle and release from anywhere."""

    def __init__(
        self,
        channel: Channel,
        group: Group,
        *,
        read: Callable[[Channel, int, int], Awaitable[list[Row]]],
        unreadable: Callable[[Channel, int, str], Awaitable[None]],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._group = group
        self._read = read
        self._unreadable = unreadable
        self._changed = changed
        self._clock = clock
        self._in_hand: dict[int, Delivery] = {}
        self._closed = False
        group.members += 1

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """As `Subscription.receive`."""
        group = self._group
        if not self._closed and not self._anything():
            await self._wait()
        if self._closed:
            return []
        group.ripen(self._clock())
        if group.returned:
            back = [group.returned.popleft() for _ in range(min(limit, len(group.returned)))]
            return self._hand_out([d for d in back if not group.cursor.settled(d.token)])
        async with group.lock:
            rows = await self._next_rows(limit)
        return self._hand_out([self._delivery(number, at, event) for number, at, event in rows])

    async def settle(self, done: Sequence[Delivery]) -> None:
        """As `Subscription.settle`."""
        numbers = [delivery.token for delivery in done]
        self._group.cursor.settle(numbers)
        for number in numbers:
            self._in_hand.pop(number, None)
        self._changed()

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """As `Subscription.release`; any delay is honoured."""
        mine = [d for d in back if self._in_hand.pop(d.token, None) is not None]
        if delay:
            due = self._clock() + delay
            for delivery in mine:
                heapq.heappush(self._group.later, (due, delivery.token, delivery))
        else:
            self._group.give_back(mine)
        self._channel.wake()

    async def close(self) -> None:
        """As `Subscription.close`."""
        if self._closed:
            return
        self._closed = True
        group = self._group
        group.members -= 1
        group.give_back(list(self._in_hand.values()))
        self._in_hand.clear()
        self._channel.wake()
        self._changed()

    # ── what there is ────────────────────────────────────────────────────────────────────────

    def _anything(self) -> bool:
        group = self._group
        group.ripen(self._clock())
        return bool(group.returned) or group.handed < self._channel.last

    async def _wait(self) -> None:
        """Until something arrives, or about a second has passed."""
        self._channel.arrived.clear()
        wait = WAIT_SECONDS
        if self._group.later:
            wait = min(wait, max(0.0, self._group.later[0][0] - self._clock()))
        try:
            async with asyncio.timeout(wait):
                await self._channel.arrived.wait()
        except TimeoutError:
            pass

    async def _next_rows(self, limit: int) -> list[tuple[int, float, Event]]:
        """The next events nobody of the group has had, from memory if they are there."""
        channel, group = self._channel, self._group
        number = group.handed + 1
        if number >= channel.tail.first:
            rows = channel.tail.take(number, limit)
            if rows:
                group.handed = rows[-1][0]
                channel.trim()
            return [row for row in rows if not group.cursor.settled(row[0])]
        found = await self._read(channel, group.handed, limit)
        if not found:
            group.handed = max(group.handed, min(channel.last, channel.tail.first - 1))
            return []
        group.handed = max(group.handed, found[-1][0])
        return [row for raw in found if (row := await self._decoded(raw)) is not None]

    async def _decoded(self, row: Row) -> tuple[int, float, Event] | None:
        number, at, body = row
        if self._group.cursor.settled(number):
            return None
        try:
            return number, at, stored.decode(body)
        except InvalidEvent as error:
            await self._unreadable(self._channel, number, str(error))
            return None

    def _delivery(self, number: int, at: float, event: Event) -> Delivery:
        return Delivery(event, number, str(number), None, None, at)

    def _hand_out(self, deliveries: list[Delivery]) -> list[Delivery]:
        in_hand = self._in_hand
        for delivery in deliveries:
            in_hand[delivery.token] = delivery
        return deliveries
