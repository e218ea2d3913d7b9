"""Which offset of a partition may be committed: never one behind an event that is not settled.

Pure: no I/O, no clock. Offsets are handed out in rising order (with gaps, where the log was compacted or
holds markers of transactions) and settled in any order.
"""

from __future__ import annotations

from collections import deque


class Watermark:
    """One partition of one member: what was handed out, and up to where everything is settled.

    `position` is the offset that may be committed: everything below it is settled. `committed` is what
    the group knows; None before anything was committed.
    """

    __slots__ = ("_done", "_open", "committed", "dropped", "next")

    def __init__(self, committed: int | None) -> None:
        self.committed = committed
        self.next = 0 if committed is None else committed
        """The lowest offset that was not handed out yet."""
        self.dropped = False
        """The partition went to another member: nothing that is settled now counts any more."""
        self._open: deque[int] = deque()
        self._done: set[int] = set()

    @property
    def position(self) -> int:
        """Everything below is settled."""
        return self._open[0] if self._open else self.next

    @property
    def held(self) -> int:
        """Handed out and not below `position`: what memory this costs."""
        return len(self._open)

    def hand_out(self, offset: int) -> bool:
        """Take `offset` as handed out; False if it was before (it came again after a rebalance)."""
        if offset < self.next:
            return False
        self._open.append(offset)
        self.next = offset + 1
        return True

    def is_settled(self, offset: int) -> bool:
        """Whether `offset` needs nobody any more."""
        return offset < self.position or offset in self._done

    def settle(self, offset: int) -> bool:
        """`offset` is finished; whether `position` has moved. Twice is harmless."""
        if self.dropped or self.is_settled(offset):
            return False
        open, done = self._open, self._done
        done.add(offset)
        if open[0] != offset:
            return False
        while open and open[0] in done:
            done.discard(open.popleft())
        return True
