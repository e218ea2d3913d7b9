"""A clock that only moves when the test says so."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class ManualTimer:
    """What `ManualClock.call_at` gives back."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock:
    """Monotonic seconds and timers, as an event loop has them; `advance` fires what has become due."""

    def __init__(self, start: float = 1_000.0) -> None:
        self._now = start
        self._count = 0
        self._timers: list[tuple[float, int, ManualTimer, Callable[..., Any], tuple[Any, ...]]] = []

    def time(self) -> float:
        """Now, in seconds."""
        return self._now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> ManualTimer:
        """Call `callback(*args)` when `advance` reaches `when`."""
        timer = ManualTimer()
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer, callback, args))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass, firing timers in order, each at its own moment."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer, callback, args = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            if not timer.cancelled:
                callback(*args)
        self._now = end
