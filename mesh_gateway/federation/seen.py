"""Which numbers of one lane have come: a watermark below which all have ended, and exactly those beyond it.

Never "greater than the last": a retry brings a lower number after a higher one, and calling it a duplicate loses
the event (the fault of apache/pulsar#26113).
"""

from __future__ import annotations

from collections.abc import Iterable


class Seen:
    """The numbers 1, 2, 3… that a receiver has taken from one lane. What is kept grows with gaps only."""

    __slots__ = ("beyond", "watermark")

    def __init__(self, watermark: int = 0, beyond: Iterable[int] = ()) -> None:
        self.watermark = watermark
        """Every number up to this one has ended: taken here, or given up by its sender."""
        self.beyond = set(beyond)
        """The numbers above the watermark that were taken."""

    def __contains__(self, number: int) -> bool:
        return number <= self.watermark or number in self.beyond

    def add(self, number: int) -> None:
        """A number was taken."""
        if number > self.watermark:
            self.beyond.add(number)
            self._close_up()

    def advance(self, floor: int) -> None:
        """The sender says that all numbers up to `floor` have ended: it will not need any of them again."""
        if floor > self.watermark:
            self.watermark = floor
            self.beyond = {number for number in self.beyond if number > floor}
            self._close_up()

    def copy(self) -> Seen:
        """The same, to be changed on its own."""
        return Seen(self.watermark, self.beyond)

    def _close_up(self) -> None:
        while self.watermark + 1 in self.beyond:
            self.watermark += 1
            self.beyond.remove(self.watermark)
