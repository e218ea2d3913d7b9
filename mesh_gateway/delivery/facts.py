"""What is said of one trigger's copies: to whoever follows a single event, and in the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from mesh_gateway.delivery.lanes import Copy
from mesh_gateway.delivery.sink import Accepted, Outcome, Refused, Retry
from mesh_gateway.delivery.watch import Watches

log = structlog.get_logger("mesh_gateway.trigger")


class Facts:
    """Those of one trigger."""

    def __init__(self, trigger: str, broker: str, watches: Watches) -> None:
        self._trigger = trigger
        self._broker = broker
        self._watches = watches
        self.followed = watches.by_event
        """Empty while nobody follows any event: asked before what would be said of every copy."""

    def parked(self, copy: Copy) -> None:
        """It did not fit the window."""
        self._tell(copy, {"event": "ended", "outcome": "parked", "code": None, "attempts": 0})

    def attempted(self, copy: Copy, outcome: Outcome, seconds: float) -> None:
        """One attempt is over."""
        accepted = isinstance(outcome, Accepted)
        self._tell(
            copy,
            {
                "event": "attempt",
                "outcome": "ok" if accepted else "retry" if isinstance(outcome, Retry) else "refused",
                "code": outcome.code,
                "why": None if isinstance(outcome, Accepted) else outcome.why,
                "ms": round(seconds * 1000, 3),
                "attempt": copy.attempt,
            },
        )

    def delivered(self, copy: Copy, code: int) -> None:
        """It has ended with this answer."""
        self._tell(copy, {"event": "ended", "outcome": "delivered", "code": code, "attempts": copy.attempt})

    def dead_lettered(self, copy: Copy, outcome: Retry | Refused, where: str) -> None:
        """It has ended as a dead letter, durable with `where`: `sink` or `channel`."""
        event = copy.delivery.event
        log.warning(
            "event dead-lettered",
            broker=self._broker,
            trigger=self._trigger,
            event_id=event.id[:128],
            event_type=event.type[:128],
            attempt=copy.attempt,
            code=outcome.code,
            reason=outcome.why,
            where=where,
        )
        self._tell(
            copy,
            {
                "event": "ended",
                "outcome": "dead-lettered",
                "code": outcome.code,
                "why": outcome.why,
                "where": where,
                "attempts": copy.attempt,
            },
        )

    def _tell(self, copy: Copy, fact: Mapping[str, Any]) -> None:
        if self.followed:
            self._watches.tell(self._broker, copy.delivery.event, {"trigger": self._trigger, **fact})
