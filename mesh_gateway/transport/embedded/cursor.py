"""Which events of a channel a group has settled: all up to a watermark, and ranges beyond it. Pure.

The numbers of a channel are dense, so the watermark passes a number only when that very number is
settled. What is settled out of order is kept as disjoint ranges, not as single numbers: with one
event that waits an hour for its retry and a million behind it, that is one range. There are never
more ranges than events that were handed out and are not settled yet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """What a store has to write so that it remembers a group's progress."""

    watermark: int
    gone: tuple[int, ...] | None
    """First numbers of stored ranges that are no more; None = none of the stored ranges is true."""
    new: tuple[tuple[int, int], ...]
    """Ranges (first, last) to store; one with a first number that is stored already replaces it."""


class Cursor:
    """One group's progress through one channel."""

    __slots__ = ("_changed", "_firsts", "_lasts", "_saved", "watermark")

    def __init__(self, watermark: int, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.watermark = watermark
        """Every number up to and including this one is settled."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._saved: dict[int, int] | None = dict(ranges)
        self._changed = False
        for first, last in sorted(self._saved.items()):
            self.settle_range(first, last)
        # What the constructor was given is what is stored, unless the ranges had to be put in order.
        self._changed = self.watermark != watermark or self.ranges != sorted(self._saved.items())

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """What is settled beyond the watermark: disjoint, not touching, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    @property
    def changed(self) -> bool:
        """Whether `change` has anything to say."""
        return self._changed

    def settled(self, number: int) -> bool:
        """Whether this number is settled."""
        if number <= self.watermark:
            return True
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def unsettled_from(self, number: int) -> tuple[int, int | None]:
        """The first stretch of unsettled numbers from `number` on: its first and last, None = no end."""
        first = max(number, self.watermark + 1)
        at = bisect_right(self._firsts, first) - 1
        if at >= 0 and first <= self._lasts[at]:
            first = self._lasts[at] + 1
        return first, self._firsts[at + 1] - 1 if at + 1 < len(self._firsts) else None

    def unsettled_up_to(self, last: int) -> int:
        """How many numbers up to `last`, which none beyond is settled, are not settled."""
        beyond = sum(self._lasts) - sum(self._firsts) + len(self._firsts)
        return max(0, last - self.watermark - beyond)

    def settle(self, numbers: Iterable[int]) -> None:
        """These are settled. Idempotent, in any order; cheapest in ascending order."""
        first = last = None
        for number in numbers:
            if last is not None and number == last + 1:
                last = number
                continue
            if first is not None and last is not None:
                self.settle_range(first, last)
            first = last = number
        if first is not None and last is not None:
            self.settle_range(first, last)

    def settle_range(self, first: int, last: int) -> None:
        """All of `first` to `last` are settled."""
        if last <= self.watermark:
            return
        if first <= self.watermark + 1:
            self._advance(last)
        else:
            self._insert(first, last)
        self._changed = True

    def _advance(self, last: int) -> None:
        """Move the watermark, over the ranges that it reaches now."""
        reached = bisect_right(self._firsts, last + 1)
        if reached:
            last = max(last, self._lasts[reached - 1])
            del self._firsts[:reached], self._lasts[:reached]
        self.watermark = last

    def _insert(self, first: int, last: int) -> None:
        """Add a range, joined with those that it overlaps or touches."""
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if begin < end:
            first = min(first, self._firsts[begin])
            last = max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]

    def change(self) -> Change:
        """What has changed since the last call; from now on it counts as stored."""
        now = dict(zip(self._firsts, self._lasts, strict=True))
        saved, self._saved = self._saved, now
        self._changed = False
        if saved is None:
            return Change(self.watermark, None, tuple(now.items()))
        gone = tuple(first for first in saved if first not in now)
        new = tuple((first, last) for first, last in now.items() if saved.get(first) != last)
        return Change(self.watermark, gone, new)

    def unsaved(self) -> None:
        """The last change could not be stored: the next one says everything."""
        self._saved = None
        self._changed = True
