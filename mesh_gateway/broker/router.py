"""Which triggers want an event: an immutable table, replaced whole when triggers change."""

from __future__ import annotations

from collections.abc import Sequence

from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.index import FilterIndex


class Router:
    """The triggers behind one reader, found by their filters."""

    def __init__(self, routes: Sequence[tuple[Filter, Trigger]]) -> None:
        self.routes = tuple(routes)
        self.triggers = tuple(trigger for _, trigger in routes)
        self._index = FilterIndex([filter for filter, _ in routes])

    def match(self, event: Event) -> list[Trigger]:
        """The triggers whose filter says yes, in the order of the documents. Never raises."""
        triggers = self.triggers
        return [triggers[index] for index in self._index.match(event)]
