"""What is known of a channel in memory: its numbers, its newest events, its groups.

The newest events are kept decoded for as long as some group has not been handed them, so that a
group that keeps up never reads or decodes from the file (several µs an event).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence

from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.cursor import Cursor

TAIL_EVENTS = 4_096
TAIL_BYTES = 8 * 2**20
"""Newest events kept per channel: some 100 ms of full load, and a bound on what a lagging group costs."""


class Tail:
    """The newest events, by number; dense."""

    __slots__ = ("_bytes", "_rows", "first")

    def __init__(self, next_number: int) -> None:
        self.first = next_number
        """Number of the oldest event that is here; the channel's next number when it is empty."""
        self._rows: deque[tuple[float, Event, int]] = deque()
        self._bytes = 0

    def append(self, at: float, events: Sequence[Event], sizes: Sequence[int]) -> None:
        """The events that have just become durable, in order."""
        rows = self._rows
        for event, size in zip(events, sizes, strict=True):
            rows.append((at, event, size))
            self._bytes += size
        while len(rows) > TAIL_EVENTS or self._bytes > TAIL_BYTES:
            self._drop()

    def take(self, number: int, limit: int) -> list[tuple[int, float, Event]]:
        """Up to `limit` events from `number` on, which must not be older than `first`."""
        start = number - self.first
        rows = self._rows
        return [(self.first + i, *rows[i][:2]) for i in range(start, min(start + limit, len(rows)))]

    def forget_before(self, number: int) -> None:
        """Every group has been handed what is older than `number`."""
        while self._rows and self.first < number:
            self._drop()

    def clear(self, next_number: int) -> None:
        """Nobody reads: keep nothing."""
        self._rows.clear()
        self._bytes = 0
        self.first = next_number

    def _drop(self) -> None:
        self._bytes -= self._rows.popleft()[2]
        self.first += 1


class Group:
    """One group's reading of a channel: what is settled, what was handed out, what came back."""

    def __init__(self, name: str, cursor: Cursor) -> None:
        self.name = name
        self.cursor = cursor
        self.handed = cursor.watermark
        """Every number up to this one has been handed out at least once since the start."""
        self.returned: deque[Delivery] = deque()
        """Given back, to be handed out again before anything new."""
        self.later: list[tuple[float, int, Delivery]] = []
        """Given back with a delay: (when, number, delivery)."""
        self.members = 0
        self.lock = asyncio.Lock()

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Hand these out again, in the order of their numbers."""
        merged = sorted([*self.returned, *deliveries], key=lambda delivery: int(delivery.token))
        self.returned = deque(merged)

    def ripen(self, now: float) -> None:
        """What was given back with a delay that is over is returned."""
        ripe: list[Delivery] = []
        while self.later and self.later[0][0] <= now:
            ripe.append(heapq.heappop(self.later)[2])
        if ripe:
            self.give_back(ripe)


class Channel:
    """One channel of the embedded store, on the event loop's side."""

    def __init__(self, id: int, name: str, first: int, last: int) -> None:
        self.id = id
        self.name = name
        self.first = first
        """The oldest number that may still be in the file."""
        self.given = last
        """The last number given to an event, durable or on its way."""
        self.last = last
        """The last durable number."""
        self.groups: dict[str, Group] = {}
        self.tail = Tail(last + 1)
        self.arrived = asyncio.Event()

    def committed(self, at: float, events: Sequence[Event], sizes: Sequence[int]) -> None:
        """These are durable; they carry the numbers after `last`."""
        self.last += len(events)
        if any(group.members for group in self.groups.values()):
            self.tail.append(at, events, sizes)
        else:
            self.tail.clear(self.last + 1)
        self.wake()

    def wake(self) -> None:
        """Somebody who waits to receive should look again."""
        self.arrived.set()

    def trim(self) -> None:
        """Forget newest events that every group with a reader has been handed."""
        self.tail.forget_before(
            1 + min((g.handed for g in self.groups.values() if g.members), default=self.last)
        )

    @property
    def settled_by_all(self) -> int:
        """Up to here every group has settled; 0 for a channel without groups, which keeps everything."""
        return min((group.cursor.watermark for group in self.groups.values()), default=0)
