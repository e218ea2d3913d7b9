"""Following single events: who has asked, and what they are told.

`mesh-gateway send --wait` asks before it sends. The data path pays one truth test of an
empty dict per event for this, and nothing is kept for events that nobody follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mesh_gateway.event import Event

Tell = Callable[[Mapping[str, Any]], None]
"""Called with one fact about the event; must not raise."""

MAX_WATCHED = 1_000
"""Open watches of one gateway; each is a client connection of the admin API."""


class Watches:
    """The watches of one gateway, by (broker, source, id)."""

    def __init__(self) -> None:
        self.by_event: dict[tuple[str, str, str], Tell] = {}

    def __bool__(self) -> bool:
        return bool(self.by_event)

    def open(self, broker: str, source: str, id: str, tell: Tell) -> None:
        """From now on `tell` hears what becomes of that event. Raises `ValueError` when too many watch."""
        if len(self.by_event) >= MAX_WATCHED:
            raise ValueError(f"already {MAX_WATCHED} events are watched")
        self.by_event[broker, source, id] = tell

    def close(self, broker: str, source: str, id: str) -> None:
        """Nobody listens any more."""
        self.by_event.pop((broker, source, id), None)

    def tell(self, broker: str, event: Event, fact: Mapping[str, Any]) -> None:
        """Pass `fact` on to whoever watches this event."""
        tell = self.by_event.get((broker, event.source, event.id))
        if tell is not None:
            tell(fact)
