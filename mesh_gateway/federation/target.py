"""Where a relay sends to, whatever is there: another gateway, a CloudEvents endpoint, a broker of this gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mesh_gateway.federation.outbox import MOST_BYTES, MOST_EVENTS
from mesh_gateway.federation.transfer import Transfer, Verdict

Reason = Literal[
    "unreachable",
    "timeout",
    "tls",
    "unauthorized",
    "forbidden",
    "not found",
    "busy",
    "unavailable",
    "bad answer",
]
"""Why a transfer got no verdicts: a closed set, for metrics and conditions."""


class Unreached(Exception):
    """A transfer got no verdicts, and nobody knows what was stored. `after`: seconds that the receiver asked to wait."""

    def __init__(self, reason: Reason, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.reason: Reason = reason
        self.after = after


class NotTaken(Exception):
    """The receiver takes no such transfer: it is too large, or something in it cannot be read. A part of it may be taken."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the one who is there takes events."""

    mode: Literal["batches", "singles"]
    """`batches`: transfers with a verdict for each event. `singles`: CloudEvents one by one, without deduplication."""
    place: str | None = None
    """Where they are logged: `cluster/namespace/broker`; None when that is not known."""
    most_events: int = MOST_EVENTS
    most_bytes: int = MOST_BYTES


class Target(Protocol):
    """Asked by one task, one question at a time: `meet` before the first `send`, and after each that failed."""

    @property
    def address(self) -> str:
        """For messages and `knativeerrordest`; carries no credentials."""
        ...

    async def meet(self) -> Manner:
        """Find out who is there. Raises `Unreached`. Cancelling it leaves nothing behind."""
        ...

    async def send(self, transfer: Transfer) -> Sequence[Verdict | None]:
        """A verdict for each event; None for one that is to be sent again. Raises `Unreached` when there is none,
        `NotTaken`. Cancelling it leaves the outcome unknown.
        """
        ...

    async def close(self) -> None:
        """Free connections. Idempotent."""
        ...
