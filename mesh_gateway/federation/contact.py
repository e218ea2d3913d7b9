"""What a relay knows of its target: whether it is there, how it takes events, and how it last answered."""

from __future__ import annotations

import asyncio
import time

import structlog

from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.federation.counters import RelayCounters
from mesh_gateway.federation.target import Manner, Target, Unreached

log = structlog.get_logger("mesh_gateway.relay")

ERROR_LENGTH = 512
"""Characters kept of an error for `status`: a line or two of what a proxy's page says."""


class Contact:
    """Told by its relay how each meeting and each transfer ended; it asks nobody, and waits for nothing."""

    def __init__(self, relay: str, counters: RelayCounters, clock: Clock) -> None:
        self.manner: Manner | None = None
        """How the target takes events, as of the last meeting; None while there was none, or it is away."""
        self.met = asyncio.Event()
        """Set while the target is there and the relay has made itself ready for its manner."""
        self.failing = False
        """The latest transfer got no verdicts. That the target greets is no sign that it takes anything."""
        self.failures = 0
        """Meetings and transfers in a row without an answer that counts."""
        self._relay = relay
        self._counters = counters
        self._clock = clock
        self._answered_at: float | None = None

    def greeted(self, target: Target, manner: Manner) -> None:
        """The target has said how it takes events."""
        if self.manner is None and not self.failing:
            log.info(
                "the target of a relay is there", relay=self._relay, target=target.address, mode=manner.mode
            )
        self.manner = manner
        self.answered()

    def answered(self) -> None:
        """The target has given an answer: to a greeting, or verdicts of a transfer."""
        if not self.failing:
            self.failures = 0
        self._answered_at = self._clock.time()
        self._counters.last_success = time.time()

    def away(self, target: Target, error: Unreached) -> None:
        """A meeting or a transfer got no answer that counts: until the next meeting nobody knows who is there."""
        self.failures += 1
        counters = self._counters
        counters.failures[error.reason] += 1
        counters.last_reason, counters.last_error = error.reason, str(error)[:ERROR_LENGTH]
        self.manner = None
        self.met.clear()
        if self.failures == 1:
            log.warning(
                "the target of a relay takes nothing; its events wait on the source",
                relay=self._relay,
                target=target.address,
                reason=error.reason,
                error=counters.last_error,
            )

    @property
    def silent_for(self) -> float | None:
        """Seconds since the target last answered; None when it never has."""
        return None if self._answered_at is None else self._clock.time() - self._answered_at
