"""A bound on events a second, as a bucket that fills by itself."""

from __future__ import annotations

ROUNDING = 1e-9
"""Part of an event that `allowed` gives away, and `wait` does not count on: so a wait that was kept is enough, whatever
the arithmetic of floats makes of it."""


class Rate:
    """Pure: the time is passed in. A second's worth may go at once, so that a transfer is not torn into single events."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._filled = self._most
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next event may go; that long afterwards `allowed` is at least 1."""
        self._fill(now)
        return max(0.0, (1.0 - self._filled) / self._per_second)

    def allowed(self, now: float) -> int:
        """Events that may go now."""
        self._fill(now)
        return int(self._filled + ROUNDING)

    def spend(self, events: int) -> None:
        """So many have gone."""
        self._filled -= events

    def _fill(self, now: float) -> None:
        self._filled = min(self._most, self._filled + (now - self._at) * self._per_second)
        self._at = now
