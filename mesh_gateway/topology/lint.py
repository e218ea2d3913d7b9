"""What no single document shows: loops between brokers, and dead letters that come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.disjoint import disjoint
from mesh_gateway.topology import documents
from mesh_gateway.topology.delivery import PATH
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import BrokerDestination, DeliverySpec, TriggerSpec

MOST_STEPS = 20_000
"""Of the search for loops: a dense graph has more rings than anybody reads. About 50 ms."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A trigger that hands events on to another broker of this gateway."""

    trigger: TriggerSpec
    target: str
    letters: bool = False
    """Only its dead letters."""

    def __str__(self) -> str:
        return f"trigger {self.trigger.key}{' (dead letters)' if self.letters else ''}"


def loops(
    triggers: Mapping[str, TriggerSpec], filters: Mapping[str, Filter], resources: Mapping[str, Resource]
) -> None:
    """Warn of every ring of triggers around which one event may go until its hops are spent.

    An event keeps its attributes in process, so a ring counts unless two of its filters exclude each other.
    """
    for ring in rings([edge for trigger in triggers.values() for edge in _edges(trigger)], filters):
        first = ring[0]
        way = "".join(f" → {edge} → {edge.target}" for edge in ring)
        path = (*PATH, "deadLetterSink") if first.letters else ("spec", "subscriber")
        message = f"an event that passes these filters goes round until its hops are spent: {first.trigger.broker}{way}"
        resources[first.trigger.key].fault("MG040", path, message, key=True)


def _edges(trigger: TriggerSpec) -> Iterator[Edge]:
    if isinstance(trigger.destination, BrokerDestination):
        yield Edge(trigger, trigger.destination.broker)
    sink = trigger.delivery.dead_letter_sink
    if isinstance(sink, BrokerDestination) and sink.broker != trigger.broker:
        yield Edge(trigger, sink.broker, letters=True)


def rings(edges: Sequence[Edge], filters: Mapping[str, Filter]) -> Iterator[tuple[Edge, ...]]:
    """Each ring once, from the first of its triggers in the order of their names."""
    ordered = sorted(edges, key=lambda edge: (edge.trigger.key, edge.letters))
    leaving: dict[str, list[int]] = {}
    for i, edge in enumerate(ordered):
        leaving.setdefault(edge.trigger.broker, []).append(i)
    steps = MOST_STEPS
    for first, edge in enumerate(ordered):
        ways: list[tuple[int, ...]] = [(first,)]
        while ways and steps:
            steps -= 1
            way = ways.pop()
            end = ordered[way[-1]].target
            if end == edge.trigger.broker:
                yield tuple(ordered[i] for i in way)
                continue
            passed = {ordered[i].trigger.broker for i in way}
            if end in passed:
                continue
            ways += [
                (*way, i)
                for i in leaving.get(end, ())
                if i > first and not any(_excluded(ordered[j], ordered[i], filters) for j in way)
            ]


def _excluded(one: Edge, other: Edge, filters: Mapping[str, Filter]) -> bool:
    return disjoint(filters[one.trigger.key], filters[other.trigger.key])


def own_dead_letters(
    brokers: Mapping[str, Resource],
    deliveries: Mapping[str, DeliverySpec],
    triggers: Mapping[str, TriggerSpec],
    resources: Mapping[str, Resource],
) -> None:
    """Refuse a dead letter sink that is the broker the letters come from: they would fail there again, forever."""
    for key, resource in brokers.items():
        sink = deliveries[key].dead_letter_sink
        if isinstance(sink, BrokerDestination) and sink.broker == key:
            here = isinstance(resource.spec, documents.Broker) and resource.spec.delivery is not None
            _refuse(resource, key, here=here)
    for trigger in triggers.values():
        sink = trigger.delivery.dead_letter_sink
        own = resources[trigger.key].spec
        if (
            isinstance(sink, BrokerDestination)
            and sink.broker == trigger.broker
            and isinstance(own, documents.Trigger)
            and own.delivery is not None
        ):
            _refuse(resources[trigger.key], trigger.broker, here=True)


def _refuse(resource: Resource, broker: str, *, here: bool) -> None:
    message = (
        f"dead letters of Broker {broker} would come back to it; take another Broker, or leave it away: "
    )
    message += "without a sink they are kept in the broker's dead-letter channel"
    if here:
        resource.fault("MG041", (*PATH, "deadLetterSink"), message, key=True)
    else:
        resource.fault("MG041", ("metadata", "name"), f"by Gateway.spec.delivery, {message}")
