"""Which triggers want an event: an immutable table, replaced whole when triggers change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.index import FilterIndex
from mesh_gateway.transport.contract import Delivery


class Route(Protocol):
    """Who takes copies of events: a trigger, or a relay that has no group of its own."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        ...

    def offer(self, delivery: Delivery, finish: Callable[[Delivery], None]) -> None:
        """Take one copy; `finish(delivery)` is called once, when it has a durable end."""
        ...


class Router:
    """The triggers behind one reader, found by their filters."""

    def __init__(self, routes: Sequence[tuple[Filter, Route]]) -> None:
        self.routes = tuple(routes)
        self.triggers = tuple(trigger for _, trigger in routes)
        self._index = FilterIndex([filter for filter, _ in routes])

    def match(self, event: Event) -> list[Route]:
        """The triggers whose filter says yes, in the order of the documents. Never raises."""
        triggers = self.triggers
        return [triggers[index] for index in self._index.match(event)]


def offer(
    deliveries: Sequence[Delivery],
    match: Callable[[Event], Sequence[Route]],
    finish: Callable[[Delivery], None],
    watch: Callable[[Event, list[str]], None] | None,
) -> list[Delivery]:
    """Offer each to the triggers that want it, a copy for each; those that nobody wants are given back.

    `watch` is told of each event and the keys of its triggers.
    """
    unwanted: list[Delivery] = []
    for delivery in deliveries:
        triggers = match(delivery.event)
        if watch is not None:
            watch(delivery.event, [trigger.key for trigger in triggers])
        if not triggers:
            unwanted.append(delivery)
            continue
        delivery.pending = len(triggers)
        for trigger in triggers:
            trigger.offer(delivery, finish)
    return unwanted
