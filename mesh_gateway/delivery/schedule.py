"""Things that are due later: one heap, one timer, no sleeping task.

Moments are those of the clock passed in (an event loop's monotonic time), so that a jump of
the wall clock neither delays a retry nor starts a storm of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

EARLY = 0.001
"""Seconds before its moment that an item is taken for due. uvloop's time and timers are whole milliseconds, and the nearest one: a timer
comes up to half of one early. To set it again then was to be called at once, in every round of the loop until the millisecond
was over: 38 times for each retry. With one event in a hundred retried that was some 3 % of what each event cost.
"""


class Timer(Protocol):
    """What `call_at` gives back."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time and timers; an asyncio event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


class Schedule(Generic[T]):
    """Hands each item to `due` when its moment has come, or is as near as `EARLY`; in order of moments."""

    def __init__(self, clock: Clock, due: Callable[[T], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, item: T, seconds: float) -> None:
        """`item` is due in `seconds` from now."""
        self._count += 1
        entry = (self._clock.time() + seconds, self._count, item)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._set_timer()

    def clear(self) -> list[T]:
        """Forget everything; what there was, soonest first."""
        items = [item for _, _, item in sorted(self._heap)]
        self._heap.clear()
        self._set_timer()
        return items

    def take(self) -> list[tuple[float, T]]:
        """Forget everything; what there was, soonest first, with the seconds until each would have been due."""
        now = self._clock.time()
        left = [(max(0.0, when - now), item) for when, _, item in sorted(self._heap)]
        self._heap.clear()
        self._set_timer()
        return left

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._clock.call_at(self._heap[0][0], self._fire)

    def _fire(self) -> None:
        self._timer = None
        until = self._clock.time() + EARLY
        ready: list[T] = []
        while self._heap and self._heap[0][0] <= until:
            ready.append(heapq.heappop(self._heap)[2])
        self._set_timer()
        for item in ready:
            self._due(item)
