"""Every way in which a copy can end, as plain integers; `gateway.metrics` exports them at scrape."""

from __future__ import annotations

from bisect import bisect_left

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds: from one loopback exchange to the default delivery timeout."""


class Histogram:
    """Counts of durations in seconds, cheap enough for every delivery."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class TriggerCounters:
    """What one trigger has done since the process started."""

    __slots__ = (
        "by_code",
        "dead_lettered",
        "delivered",
        "duration",
        "failing",
        "filter_errors",
        "filtered",
        "last_error",
        "matched",
        "parked",
        "refused",
        "replied",
        "reply_refused",
        "retried",
        "stored_dead_letters",
        "unparked",
    )

    def __init__(self) -> None:
        self.matched = 0
        """Copies offered to this trigger."""
        self.filtered = 0
        """Events of the broker that its filter refused (read minus matched, kept by the reader)."""
        self.filter_errors = 0
        self.delivered = 0
        """2xx, with or without a reply."""
        self.replied = 0
        self.reply_refused = 0
        self.retried = 0
        self.refused = 0
        self.dead_lettered = 0
        """Taken by the dead letter sink."""
        self.stored_dead_letters = 0
        """Kept in the broker's dead-letter channel."""
        self.parked = 0
        self.unparked = 0
        self.by_code: dict[tuple[str, str], int] = {}
        """Failed attempts by (outcome, code class): bounded by the classes, not by what subscribers say."""
        self.last_error = ""
        self.failing = False
        """The latest attempt that ended did not end with 2xx."""
        self.duration = Histogram()

    def failed(self, outcome: str, code: int | None, why: str) -> None:
        """One attempt ended without 2xx."""
        key = (outcome, "none" if code is None else f"{code // 100}xx")
        self.by_code[key] = self.by_code.get(key, 0) + 1
        self.last_error = why
        self.failing = True
