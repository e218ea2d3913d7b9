"""Things that are due later: one heap, one timer, no sleeping task.

Moments are those of the clock passed in (an event loop's monotonic time), so that a jump of
the wall clock neither delays a retry nor starts a storm of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

MILLISECOND = 0.001
"""Seconds, the shortest wait for an item whose timer came early. uvloop's time and timers are whole milliseconds, and the nearest one: a
timer comes up to half of one before its moment. Set again for that moment it would come at once, in every round of the loop until
the millisecond was over: 38 times for each retry, which with one event in a hundred retried was some 4 % of what each event cost (0.95 and 0.97 after it, in 40 and 30 turns of two gateways).
"""


class Timer(Protocol):
    """What `call_at` gives back."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time and timers; an asyncio event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


class Schedule(Generic[T]):
    """Hands each item to `due` when its moment has come, in order of moments."""

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

    def _set_timer(self, earliest: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._clock.call_at(max(self._heap[0][0], earliest), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.time()
        ready: list[T] = []
        while self._heap and self._heap[0][0] <= now:
            ready.append(heapq.heappop(self._heap)[2])
        self._set_timer(now + MILLISECOND)
        for item in ready:
            self._due(item)
