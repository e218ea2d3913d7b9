"""Every number of the data listener, what it has in hand now, and what it has counted."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_EVENT_LIMIT = 65_536
"""Intermediaries must forward events of 64 KiB (CloudEvents 1.0.2, section 5)."""


@dataclass(frozen=True, slots=True)
class IngressLimits:
    """Bytes, counts and seconds (design 7, "Numbers")."""

    max_event_bytes: int = 1_048_576
    max_batch_events: int = 1_000
    max_batch_bytes: int = 10_485_760
    max_headers: int = 100
    max_header_bytes: int = 8_192
    max_headers_bytes: int = 32_768
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 60.0
    max_connections: int = 10_000
    max_requests: int = 1_000
    max_pending_bytes: int = 268_435_456
    publish_timeout: float = 5.0


class IngressCounters:
    """What has come in and how it was answered."""

    __slots__ = ("abandoned", "accepted", "late", "refused", "responses")

    def __init__(self) -> None:
        self.accepted = 0
        """Events answered 202."""
        self.refused: dict[str, int] = {}
        """Requests answered without storing, by reason: a closed set of words."""
        self.responses: dict[int, int] = {}
        self.abandoned = 0
        """Clients that left before their answer; the event may be stored."""
        self.late = 0
        """Events that became durable after their producer had been answered 503."""

    def refuse(self, status: int, reason: str) -> None:
        """One request was answered `status` because of `reason`."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self.responses[status] = self.responses.get(status, 0) + 1

    def answer(self, status: int) -> None:
        """One request was answered."""
        self.responses[status] = self.responses.get(status, 0) + 1


class InHand:
    """Requests accepted and not yet durable, over all connections: the memory this listener may use."""

    __slots__ = ("_limits", "bytes", "requests")

    def __init__(self, limits: IngressLimits) -> None:
        self._limits = limits
        self.requests = 0
        self.bytes = 0

    def room_for(self, size: int) -> bool:
        """Whether a request of `size` bytes fits."""
        limits = self._limits
        return self.requests < limits.max_requests and self.bytes + size <= limits.max_pending_bytes

    def take(self, size: int) -> None:
        self.requests += 1
        self.bytes += size

    def give_back(self, size: int) -> None:
        self.requests -= 1
        self.bytes -= size
