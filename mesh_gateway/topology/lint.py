"""Surprises that no single document shows: loops between brokers, dead letters that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.disjoint import disjoint
from mesh_gateway.topology.read import Read, Reporter
from mesh_gateway.topology.spec import BrokerDestination, GatewaySpec, TriggerSpec


def check(
    spec: GatewaySpec, filters: Mapping[str, Filter], reads: Mapping[str, Read], reporter: Reporter
) -> None:
    """Report loops of in-process deliveries and dead letters into their own broker."""
    for cycle in cycles(spec, filters):
        first = reads[f"Trigger {cycle[0].key}"]
        way = " → ".join([*(f"{t.broker} ({t.key})" for t in cycle), cycle[0].broker])
        reporter.at(
            first.document,
            "MG040",
            ("spec", "subscriber"),
            f"an event that passes all filters goes round until its hops are spent: {way}",
        )
    for trigger in spec.triggers.values():
        letters = trigger.delivery.dead_letter_sink
        if isinstance(letters, BrokerDestination) and letters.broker == trigger.broker:
            reporter.at(
                reads[f"Trigger {trigger.key}"].document,
                "MG041",
                ("spec",),
                f"dead letters of {trigger.key} go into its own broker {trigger.broker}, where it may get them again",
            )


def cycles(spec: GatewaySpec, filters: Mapping[str, Filter]) -> list[tuple[TriggerSpec, ...]]:
    """Rings of triggers, each delivering to the next one's broker, that one event may pass all around."""
    links = [t for t in spec.triggers.values() if isinstance(t.destination, BrokerDestination)]
    by_broker: dict[str, list[TriggerSpec]] = {}
    for link in links:
        by_broker.setdefault(link.broker, []).append(link)
    found: list[tuple[TriggerSpec, ...]] = []
    for start in links:
        _follow((start,), start.broker, by_broker, filters, found)
    return found


def _follow(
    way: tuple[TriggerSpec, ...],
    home: str,
    by_broker: Mapping[str, Sequence[TriggerSpec]],
    filters: Mapping[str, Filter],
    found: list[tuple[TriggerSpec, ...]],
) -> None:
    target = way[-1].destination
    assert isinstance(target, BrokerDestination)
    if target.broker == home:
        # Each ring once: from its first trigger in the order of names.
        if way[0].key == min(t.key for t in way):
            found.append(way)
        return
    if any(t.broker == target.broker for t in way):
        return
    for following in by_broker.get(target.broker, ()):
        if not any(disjoint(filters[t.key], filters[following.key]) for t in way):
            _follow((*way, following), home, by_broker, filters, found)
