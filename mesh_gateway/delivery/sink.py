"""Where an event is delivered to, and how one attempt can end.

The data path is callbacks, not tasks: `Sink.send` starts one attempt and returns at once;
`ended(context, outcome)` is called exactly once, later, on the same event loop. What an
attempt's end means (retry, reply, dead letter) is the trigger's business, not the sink's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mesh_gateway.event import Event


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx. `reply` is the event in the response, if there was one."""

    code: int = 202
    reply: Event | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: no response, 5xx, 404, 408, 409, 429. `code` None = no response at all."""

    why: str
    """A short fixed phrase: `timeout`, `connection refused`, `status 503`…"""
    code: int | None = None
    after: float | None = None
    """Seconds from `Retry-After` on 429 and 503, not yet capped."""
    body: bytes = b""
    """The first 1024 bytes of the response body."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: every other status, or a response that cannot be used."""

    why: str
    code: int | None = None
    body: bytes = b""


Outcome = Accepted | Retry | Refused

ACCEPTED = Accepted()
"""The usual ending, made once."""

Ended = Callable[[Any, Outcome], None]
"""`ended(context, outcome)`; must not raise."""


class Sink(Protocol):
    """Something that takes one event at a time, any number of attempts in flight."""

    @property
    def address(self) -> str:
        """The URL (or URI) for messages and `knativeerrordest`; carries no credentials."""
        ...

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        """Start one attempt. Calls `ended(context, outcome)` once, within the sink's deadline,
        also when the sink is closed meanwhile. Never raises, never calls back before returning
        control to the event loop.
        """
        ...

    async def close(self) -> None:
        """End attempts in flight with `Retry("closed")` and free connections. Idempotent."""
        ...
