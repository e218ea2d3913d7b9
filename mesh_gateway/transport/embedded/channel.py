"""What is known of a channel in memory: where it begins and ends, its newest events, its groups."""

from __future__ import annotations

from collections.abc import Sequence

from mesh_gateway.event import Event
from mesh_gateway.transport.embedded.group import Group
from mesh_gateway.transport.embedded.store import Appended, Purged, StoredChannel
from mesh_gateway.transport.embedded.tail import Tail


class Channel:
    """One channel, on the event loop's side."""

    def __init__(self, stored: StoredChannel) -> None:
        self.id = stored.id
        self.name = stored.name
        self.head = stored.head
        """The newest durable number."""
        self.tail = Tail(stored.head + 1)
        self.groups: dict[str, Group] = {}
        self.purging = False
        """A slice of removing is under way."""
        self._first = stored.first
        self._first_at = stored.first_at

    def committed(self, events: Sequence[Event], sizes: Sequence[int], where: Appended) -> None:
        """These are durable now: whoever waits for them may have them."""
        if self._first > self.head:
            self._first_at = where.at
        self.head += len(events)
        if any(group.members for group in self.groups.values()):
            self.tail.extend(events, sizes, where.at)
        else:
            self.tail.restart(self.head + 1)
        for group in self.groups.values():
            group.wake()

    def removed(self, numbers: Sequence[int]) -> None:
        """These are gone from the file; no group gets them any more."""
        if max(numbers) >= self.tail.first:
            self.tail.restart(self.head + 1)
        for group in self.groups.values():
            group.forget(numbers)

    def trim(self) -> None:
        """Keep no newest event that every reading group has been given."""
        self.tail.drop_before(min(group.next for group in self.groups.values() if group.members))

    def purgeable(self, before: float) -> int | None:
        """Up to which number events may go, if the oldest came before `before`; None = none may.

        What a group has not settled stays, and a channel that no group reads keeps everything.
        """
        if self.purging or self._first > self.head or self._first_at > before:
            return None
        settled = min((group.cursor.watermark for group in self.groups.values()), default=0)
        return settled if settled >= self._first else None

    def purged(self, slice: Purged) -> None:
        """A slice of removing has been done."""
        self._first, self._first_at = slice.first, slice.first_at
