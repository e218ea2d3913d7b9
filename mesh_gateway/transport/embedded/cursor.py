"""Which events of a channel a group has settled: everything up to a watermark, and single ones beyond it.

Pure: no I/O, no clock. The numbers of a channel are dense, so the watermark may pass a number only
when that very number is settled; what is settled out of order waits beyond it. `take` gives what has
to be written, which is little: one number, and the few that are still out of order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """What a store has to write to remember a group's progress."""

    watermark: int
    beyond: tuple[int, ...]
    """Newly settled numbers above the watermark."""


class Cursor:
    """One group's progress through one channel."""

    __slots__ = ("_dirty", "_new", "beyond", "watermark")

    def __init__(self, watermark: int, beyond: Iterable[int] = ()) -> None:
        self.watermark = watermark
        """Every number up to and including this one is settled."""
        self.beyond: set[int] = set()
        """Settled numbers above the watermark."""
        self._new: set[int] = set()
        self._dirty = False
        self.settle(beyond)
        self._dirty = False
        self._new.clear()

    def settled(self, number: int) -> bool:
        """Whether this number is settled."""
        return number <= self.watermark or number in self.beyond

    def settle(self, numbers: Iterable[int]) -> None:
        """These are settled. Idempotent, in any order."""
        watermark = self.watermark
        beyond = self.beyond
        new = self._new
        for number in numbers:
            if number == watermark + 1:
                watermark = number
            elif number > watermark and number not in beyond:
                beyond.add(number)
                new.add(number)
            else:
                continue
            self._dirty = True
            while beyond and watermark + 1 in beyond:
                watermark += 1
                beyond.remove(watermark)
                new.discard(watermark)
        self.watermark = watermark

    def unsettled_up_to(self, last: int) -> int:
        """How many numbers up to `last` are not settled."""
        return max(0, last - self.watermark - len(self.beyond))

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write."""
        return self._dirty

    def put_back(self, change: Change) -> None:
        """`change` could not be written after all."""
        self._new.update(number for number in change.beyond if number in self.beyond)
        self._dirty = True

    def take(self) -> Change:
        """What has changed since the last `take`."""
        change = Change(self.watermark, tuple(sorted(self._new)))
        self._new.clear()
        self._dirty = False
        return change
