"""Replies: an event in a subscriber's 2xx response is a new event for the same broker.

It is durable before its cause is settled. While the broker's channel is down it is tried on; the
subscriber is not asked a second time for what it has already answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mesh_gateway.delivery.insist import Insist
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.errors import EventError
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import Done

TTL: Final = "knativebrokerttl"
"""Brokers an event may still pass; internal, removed before delivery."""

Accept = Callable[[Event, Done], None]
"""The broker's door for events from inside; may raise `EventError` at once."""


class Replies:
    """Gives replies to the broker they answer."""

    def __init__(self, accept: Accept, clock: Clock) -> None:
        self._store = Insist(accept, clock)

    def accept(self, reply: Event, cause: Event, ended: Callable[[EventError | None], None]) -> None:
        """`ended(None)` once the reply is durable; an `EventError` when the broker refuses it for good."""
        ttl = cause.attributes.get(TTL)
        self._store.store(reply if ttl is None else reply.with_attributes({TTL: ttl}), ended)

    def stop(self) -> None:
        """Try no more; replies not durable yet leave their causes unsettled."""
        self._store.stop()
