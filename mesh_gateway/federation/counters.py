"""What a relay has done, as plain integers; `gateway.metrics` exports them at scrape."""

from __future__ import annotations

from collections import Counter


class RelayCounters:
    """What one relay has done since the process started."""

    __slots__ = (
        "dead_lettered",
        "failures",
        "filtered",
        "last_error",
        "last_reason",
        "last_success",
        "parked",
        "skipped",
        "transfers",
        "unparked",
        "verdicts",
    )

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        """Events by the word of their verdict; `hops` for those that had no link left to cross."""
        self.filtered = 0
        self.skipped = 0
        """Events that were not sent because the target had logged them."""
        self.dead_lettered = 0
        self.parked = 0
        """Copied into the relay's own channel, where its transport knows no groups."""
        self.unparked = 0
        self.transfers = 0
        """Those that got verdicts."""
        self.failures: Counter[str] = Counter()
        """Those that got none, and greetings without an answer, by reason."""
        self.last_reason = ""
        self.last_error = ""
        self.last_success: float | None = None
        """Moment of the latest answer of the target, in Unix seconds."""
