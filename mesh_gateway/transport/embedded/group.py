"""One group's reading of one channel: what comes next, what came back, who waits.

    returned ──┐                (released, or left by a member that closed)
    fetched  ──┼─▶ take ─▶ a member's hands ─▶ cursor.settle
    tail     ──┘                (fetched: read from the file, when the tail does not reach back far enough)

All of it happens on the event loop, without awaiting, so that members need no lock and a
cancelled receive has taken nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from mesh_gateway.errors import TransportError
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.cursor import Cursor
from mesh_gateway.transport.embedded.store import StoredGroup

if TYPE_CHECKING:
    from mesh_gateway.transport.embedded.channel import Channel
    from mesh_gateway.transport.embedded.records import Page

Loaded = Callable[["Page | None", "TransportError | None"], None]
Load = Callable[["Channel", int, int, int, Loaded], None]
"""`load(channel, first, last, limit, loaded)` reads from the file and calls `loaded` on the loop."""

FETCH_EVENTS = 256
"""Read from the file at a time: as many as the broker's reader takes at once."""


class Timer(Protocol):
    """What `Clock.call_at` gives."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic seconds and timers; an event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


class Group:
    """What the members of a group share."""

    def __init__(
        self,
        channel: Channel,
        stored: StoredGroup,
        *,
        load: Load,
        changed: Callable[[Group], None],
        clock: Clock,
    ) -> None:
        self.id = stored.id
        self.name = stored.name
        self.channel = channel
        self.cursor = Cursor(stored.watermark, stored.ranges)
        self.members = 0
        self.next = stored.watermark + 1
        """Every event before this number was handed out, fetched or settled since there are members."""
        self._load = load
        self._changed = changed
        self._clock = clock
        self._returned: dict[int, Delivery] = {}
        self._fetched: list[Delivery] = []
        self._fetching = False
        self._reading = 0
        self._timers: set[Timer] = set()
        self._waiters: list[asyncio.Future[None]] = []

    # ── members ──────────────────────────────────────────────────────────────────────────────

    def join(self) -> None:
        """A subscription more. The first one is given whatever is not settled."""
        self.members += 1

    def leave(self, held: dict[int, Delivery]) -> None:
        """A subscription less; what it held is for the others, or with all the rest for the next one."""
        self.members -= 1
        if self.members:
            self.give_back(held)
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self.next = self.cursor.watermark + 1
        self._reading += 1  # what is still being read belongs to the past
        self._fetching = False
        self._fetched.clear()
        self._returned.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # ── handing out ──────────────────────────────────────────────────────────────────────────

    def take(self, limit: int) -> list[Delivery]:
        """Up to `limit` events for one member; and the next ones are fetched if they must be."""
        taken = self._take_returned(limit) if self._returned else []
        room = limit - len(taken)
        if room and self._fetched:
            taken += self._fetched[:room]
            del self._fetched[:room]
        elif room:
            taken += self._take_newest(room)
        self._fetch()
        return taken

    def _take_returned(self, limit: int) -> list[Delivery]:
        numbers = sorted(self._returned)[:limit]
        return [self._returned.pop(number) for number in numbers]

    def _take_newest(self, limit: int) -> list[Delivery]:
        """From the tail, if it reaches back to what comes next."""
        channel = self.channel
        first, last = self.cursor.unsettled_from(self.next)
        if not channel.tail.first <= first <= channel.head:
            return []
        count = min(limit, (channel.head if last is None else last) - first + 1)
        newest = channel.tail.slice(first, count)
        self.next = first + len(newest)
        channel.trim()
        return [Delivery(event, number, str(number), None, None, at) for number, at, event in newest]

    def _fetch(self) -> None:
        """Read on in the file, while the members work on what they have."""
        if self._fetching or self._fetched or not self.members:
            return
        first, last = self.cursor.unsettled_from(self.next)
        end = min(self.channel.head, self.channel.tail.first - 1)
        if first > end:
            return
        self._fetching = True
        # A long settled stretch is leapt over; short ones are read along and left out afterwards.
        last = end if last is None else min(max(last, first + FETCH_EVENTS - 1), end)
        self._load(self.channel, first, last, FETCH_EVENTS, partial(self._loaded, self._reading, first))

    def _loaded(self, reading: int, first: int, page: Page | None, error: TransportError | None) -> None:
        if reading != self._reading:
            return
        self._fetching = False
        if page is not None:
            self._settle_what_is_gone(page.events, first, page.through)
            self.next = page.through + 1
            settled = self.cursor.settled
            self._fetched = [
                Delivery(event, number, str(number), None, None, at)
                for number, at, event in page.events
                if not settled(number)
            ]
        self.wake()

    def _settle_what_is_gone(
        self, found: Sequence[tuple[int, float, Event]], first: int, through: int
    ) -> None:
        """Numbers without a row were removed or set aside: nobody can settle them any more."""
        if len(found) == through - first + 1:
            return
        for number, _, _ in found:
            if number > first:
                self.cursor.settle_range(first, number - 1)
            first = number + 1
        if first <= through:
            self.cursor.settle_range(first, through)
        self._changed(self)

    # ── coming back ──────────────────────────────────────────────────────────────────────────

    def settle(self, numbers: Iterable[int]) -> None:
        """These are finished, whoever held them."""
        self.cursor.settle(numbers)
        if self._returned:
            for number in [number for number in self._returned if self.cursor.settled(number)]:
                del self._returned[number]
        self._changed(self)

    def give_back(self, held: dict[int, Delivery]) -> None:
        """Hand these out again, before anything newer."""
        settled = self.cursor.settled
        self._returned.update((number, back) for number, back in held.items() if not settled(number))
        self.wake()

    def give_back_later(self, held: dict[int, Delivery], delay: float) -> None:
        """Hand these out again after `delay` seconds; sooner if all members have left meanwhile."""

        def due() -> None:
            self._timers.discard(timer)
            self.give_back(held)

        timer = self._clock.call_at(self._clock.time() + delay, due)
        self._timers.add(timer)

    def forget(self, numbers: Sequence[int]) -> None:
        """These were removed from the channel."""
        gone = set(numbers)
        self._fetched = [delivery for delivery in self._fetched if delivery.token not in gone]
        self.settle(sorted(gone))

    # ── waiting ──────────────────────────────────────────────────────────────────────────────

    async def news(self, seconds: float) -> None:
        """Returns when there may be something to take, or after `seconds`."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(seconds, _end, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.remove(waiter)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for waiter in self._waiters:
            _end(waiter)


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
