"""Where events can come round: rings of relays, and of triggers that hand on to a Broker, over one gateway or several.

An event keeps its attributes on the way, so a ring counts only if one event can pass all of its filters at once
(`mesh_gateway.filters.normal`). What crosses links is recognised where it was already, if the senders are known
there: then a ring is worth a notice. Without a credential, or without any relay, nobody recognises it: a warning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.topology.delivery import PATH
from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.reach import Reached, Site, reached
from mesh_gateway.topology.relays import TO, has_credential
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import (
    BrokerDestination,
    Destination,
    HttpDestination,
    RelaySpec,
    TriggerSpec,
)

if TYPE_CHECKING:
    from mesh_gateway.filters.normal import Form

MOST_STEPS = 20_000
"""Of the search, in clauses compared: a dense graph has more rings than anybody reads. About 100 ms."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A trigger or relay, or its dead letters, on the way from a broker to somewhere."""

    what: Literal["trigger", "relay"]
    key: str
    broker: str
    to: Destination
    filter: Filter
    resource: Resource = field(compare=False)
    letters: bool = False
    """Only its dead letters."""

    def __str__(self) -> str:
        return f"{self.what} {self.key}{' (dead letters)' if self.letters else ''}"

    @property
    def path(self) -> Path:
        """Where its document says where it leads."""
        if self.letters:
            return (*PATH, "deadLetterSink")
        return TO if self.what == "relay" else ("spec", "subscriber")

    @property
    def is_link(self) -> bool:
        return self.what == "relay" and not self.letters

    @property
    def is_known(self) -> bool:
        """Whether the other side can know who sends."""
        return not isinstance(self.to, HttpDestination) or has_credential(self.to)


@dataclass(frozen=True, slots=True)
class Part:
    """One gateway in the picture of several."""

    cluster: str
    site: Site
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """A hop that leads to a broker we know, with what it lets pass."""

    hop: Hop
    source: Reached
    target: Reached
    form: Form


Ring = tuple[Edge, ...]


def hops(
    triggers: Mapping[str, tuple[TriggerSpec, Filter, Resource]],
    relays: Mapping[str, tuple[RelaySpec, Filter, Resource]],
) -> Iterator[Hop]:
    """Everything that hands events on to somewhere with a URL, or to a Broker."""
    for trigger, filter, resource in triggers.values():
        yield from _hops("trigger", trigger, filter, resource)
    for relay, filter, resource in relays.values():
        yield from _hops("relay", relay, filter, resource)


def _hops(
    what: Literal["trigger", "relay"], spec: TriggerSpec | RelaySpec, filter: Filter, resource: Resource
) -> Iterator[Hop]:
    for to, letters in ((spec.destination, False), (spec.delivery.dead_letter_sink, True)):
        if isinstance(to, BrokerDestination | HttpDestination):
            yield Hop(what, spec.key, spec.broker, to, filter, resource, letters)


def _changing(attribute: str) -> bool:
    """What is not the same all the way: our own attributes, and those of dead letters."""
    return attribute.startswith(("mesh", "knative"))


def check(parts: Sequence[Part], *, across: bool = False) -> None:
    """Note every ring around which one event can go, once; `across`: only those over more than one gateway."""
    edges = sorted(
        _edges(parts), key=lambda edge: (edge.source.site, edge.hop.key, edge.hop.what, edge.hop.letters)
    )
    found, whole = rings(edges)
    for ring in found:
        if not across or len({edge.source.site for edge in ring}) > 1:
            _report(ring, _names(parts))
    if not whole:
        message = (
            "there are more rings of triggers and relays than were looked at; the shortest ones are shown"
        )
        hop = edges[0].hop
        code = "MG047" if any(edge.hop.is_link for edge in edges) else "MG040"
        hop.resource.fault(code, hop.path, message, severity="notice", key=True)


def _edges(parts: Sequence[Part]) -> Iterator[Edge]:
    sites = [part.site for part in parts]
    for i, part in enumerate(parts):
        for hop in part.hops:
            source = Reached(i, hop.broker)
            targets = [target for target in _targets(hop, i, sites) if not _refused(hop, source, target)]
            if targets:
                # With it comes CESQL, which few documents need (`mesh_gateway.filters.nodes`).
                from mesh_gateway.filters.normal import normal_form

                form = normal_form(hop.filter).without(_changing)
                yield from (Edge(hop, source, target, form) for target in targets)


def _refused(hop: Hop, source: Reached, target: Reached) -> bool:
    """Back to where it came from: of dead letters a fault of its own (MG041), of a relay as well (MG042)."""
    return target == source and (hop.letters or hop.is_link)


def _targets(hop: Hop, origin: int, sites: Sequence[Site]) -> list[Reached]:
    match hop.to:
        case BrokerDestination(broker):
            return [Reached(origin, broker)]
        case HttpDestination(url=url):
            return reached(url, origin, sites)
    return []


def rings(edges: Sequence[Edge]) -> tuple[list[Ring], bool]:
    """Each ring once, from the first of its edges, the short ones first; and whether these are all there are."""
    leaving: dict[Reached, list[int]] = {}
    for i, edge in enumerate(edges):
        leaving.setdefault(edge.source, []).append(i)
    found: list[Ring] = []
    ways: deque[tuple[tuple[int, ...], Form]] = deque(
        ((i,), edge.form) for i, edge in enumerate(edges) if edge.form
    )
    steps = MOST_STEPS
    while ways and steps > 0:
        way, form = ways.popleft()
        end = edges[way[-1]].target
        if end == edges[way[0]].source:
            found.append(tuple(edges[i] for i in way))
            continue
        if any(edges[i].source == end for i in way):
            continue
        for i in leaving.get(end, ()):
            if i > way[0]:
                steps -= max(1, len(form.clauses) * len(edges[i].form.clauses))
                left = form.meet(edges[i].form)
                if left:
                    ways.append(((*way, i), left))
    return found, not ways


def _names(parts: Sequence[Part]) -> Callable[[Reached], str]:
    """Brokers as people tell them apart: with their cluster where there are several."""
    if len(parts) == 1:
        return lambda place: place.broker
    return lambda place: f"{parts[place.site].cluster}/{place.broker}"


def _report(ring: Ring, name: Callable[[Reached], str]) -> None:
    link = next((i for i, edge in enumerate(ring) if edge.hop.is_link), None)
    unknown = next((i for i, edge in enumerate(ring) if not edge.hop.is_known), None)
    if link is not None:
        start = link if unknown is None else unknown
        ring = (*ring[start:], *ring[:start])
    way = name(ring[0].source) + "".join(f" → {edge.hop} → {name(edge.target)}" for edge in ring)
    first = ring[0].hop
    if link is None:
        message = f"an event that passes these filters goes round until its hops are spent: {way}"
        first.resource.fault("MG040", first.path, message, key=True)
    elif unknown is None:
        message = f"an event that passes these filters goes round once and is recognised: {way}"
        first.resource.fault("MG047", first.path, message, key=True)
    else:
        message = f"{first} has no credential, so nobody recognises an event that comes round: {way}"
        first.resource.fault("MG047", first.path, message, severity="warning", key=True)
