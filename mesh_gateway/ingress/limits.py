"""Every number of the data listener, what it has in hand now, and what it has counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IngressLimits:
    """Bytes, counts and seconds; `Gateway.spec.ingress` sets them."""

    max_event_bytes: int = 1_048_576
    max_batch_events: int = 1_000
    max_batch_bytes: int = 10_485_760
    max_headers: int = 100
    max_header_bytes: int = 8_192
    max_headers_bytes: int = 32_768
    """The whole head: request line, header lines and the empty line that ends them."""
    header_timeout: float = 10.0
    """From the first byte of a request to the end of its head; trickling does not stretch it."""
    body_timeout: float = 30.0
    idle_timeout: float = 60.0
    max_connections: int = 10_000
    max_requests: int = 1_000
    max_pending_bytes: int = 268_435_456
    publish_timeout: float = 5.0


class IngressCounters:
    """What has come in and how it was answered, since the process started."""

    __slots__ = ("abandoned", "accepted", "late", "refused", "responses")

    def __init__(self) -> None:
        self.accepted = 0
        """Events answered 202."""
        self.refused: dict[str, int] = {}
        """Requests answered without storing, by reason: a closed set of words."""
        self.responses: dict[int, int] = {}
        self.abandoned = 0
        """Clients that closed their side before their answer; the event may be stored."""
        self.late = 0
        """Requests that became durable when nobody waited any more: answered 503, or abandoned."""

    def refuse(self, status: int, reason: str) -> None:
        """One request was answered `status` because of `reason`."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self.responses[status] = self.responses.get(status, 0) + 1

    def answer(self, status: int) -> None:
        """One request was answered."""
        self.responses[status] = self.responses.get(status, 0) + 1


class InHand:
    """The memory that bodies use, over all connections: from their first byte until they are durable.

    `requests` counts only those that are with a broker, so that slow senders, who hold few bytes,
    cannot use up the room of those who are ready.
    """

    __slots__ = ("_max_bytes", "_max_requests", "bytes", "requests")

    def __init__(self, limits: IngressLimits) -> None:
        self.requests = 0
        self.bytes = 0
        self.bound(limits)

    def bound(self, limits: IngressLimits) -> None:
        """Bounded by these from now on."""
        self._max_requests = limits.max_requests
        self._max_bytes = limits.max_pending_bytes

    def room_for(self, size: int) -> bool:
        """Whether another request with `size` more bytes fits."""
        return self.requests < self._max_requests and self.bytes + size <= self._max_bytes

    def grow(self, size: int) -> bool:
        """Count `size` more bytes of a body that is still coming; False, and not counted, when they do not fit."""
        if self.bytes + size > self._max_bytes:
            return False
        self.bytes += size
        return True

    def finish(self, size: int) -> None:
        """A broker has let go of a request of `size` bytes."""
        self.requests -= 1
        self.bytes -= size
