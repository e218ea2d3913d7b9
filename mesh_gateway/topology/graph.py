"""The mesh as a picture: brokers, triggers and relays with their filters, where events and dead letters go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, assert_never

from mesh_gateway.filters.dialects import DIALECTS, parse
from mesh_gateway.topology.reach import Site, reached
from mesh_gateway.topology.spec import (
    BrokerDestination,
    Destination,
    GatewaySpec,
    HttpDestination,
    RelaySpec,
    TriggerSpec,
)

LONGEST_LABEL = 60
"""Characters of a filter on an arrow; a longer one is read in the documents."""


@dataclass(frozen=True, slots=True)
class Node:
    """A broker of this gateway, or somebody who receives."""

    id: str
    label: str
    kind: Literal["broker", "destination"]


@dataclass(frozen=True, slots=True)
class Edge:
    """From a broker to a destination, by a trigger or a relay; the other one's name is empty."""

    source: str
    target: str
    trigger: str
    label: str
    kind: Literal["delivery", "relay", "dead letter"]
    relay: str = ""


def render(spec: GatewaySpec, format: Literal["mermaid", "dot", "json"] = "mermaid") -> str:
    """The graph as text that other tools draw, or as JSON."""
    edges = [edge for trigger in spec.triggers.values() for edge in _edges(trigger)]
    edges += [edge for relay in spec.relays.values() for edge in _links(relay, spec)]
    nodes = {key: Node(key, key.removeprefix("broker "), "broker") for key in map(_broker, spec.brokers)}
    for edge in edges:
        nodes.setdefault(edge.target, Node(edge.target, edge.target, "destination"))
    match format:
        case "mermaid":
            return _mermaid(nodes, edges)
        case "dot":
            return _dot(nodes, edges)
        case "json":
            drawn = {
                "nodes": [asdict(node) for node in nodes.values()],
                "edges": [asdict(edge) for edge in edges],
            }
            return json.dumps(drawn, indent=2, ensure_ascii=False)
    assert_never(format)


def _edges(trigger: TriggerSpec) -> Iterator[Edge]:
    source = _broker(trigger.broker)
    yield Edge(source, _target(trigger.destination), trigger.key, _filter(trigger), "delivery")
    sink = trigger.delivery.dead_letter_sink
    if sink is not None:
        yield Edge(source, _target(sink), trigger.key, "dead letters", "dead letter")


def _links(relay: RelaySpec, spec: GatewaySpec) -> Iterator[Edge]:
    source, target = _broker(relay.broker), _target(relay.destination)
    if isinstance(relay.destination, HttpDestination):
        own = reached(relay.destination.url, 0, [Site.of(spec)])
        target = _broker(own[0].broker) if own else target
    yield Edge(source, target, "", _filter(relay), "relay", relay.key)
    sink = relay.delivery.dead_letter_sink
    if sink is not None:
        yield Edge(source, _target(sink), "", "dead letters", "dead letter", relay.key)


def _filter(spec: TriggerSpec | RelaySpec) -> str:
    dialects = {name: _anything for name in _names(spec.filters) if name not in DIALECTS}
    attributes = spec.filter_attributes if isinstance(spec, TriggerSpec) else ()
    text = parse(spec.filters, attributes, dialects).describe() or "everything"
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _names(value: Any) -> Iterator[str]:
    """Every key in a filter; the dialects of plugins are among them, and for drawing their names are enough."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield str(name)
            yield from _names(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _names(part)


def _anything(value: Any) -> Any:
    def always(attributes: Mapping[str, str]) -> bool:
        return True

    return always


def _broker(key: str) -> str:
    return f"broker {key}"


def _target(destination: Destination) -> str:
    if isinstance(destination, BrokerDestination):
        return _broker(destination.broker)
    return destination.url if isinstance(destination, HttpDestination) else destination.uri


ARROWS = {"delivery": "-->", "relay": "==>", "dead letter": "-.->"}
STYLES = {"delivery": "", "relay": ", style=bold", "dead letter": ", style=dashed"}


def _mermaid(nodes: Mapping[str, Node], edges: list[Edge]) -> str:
    ids = {key: f"n{i}" for i, key in enumerate(nodes)}
    lines = ["flowchart LR"]
    for key, node in nodes.items():
        opening, closing = ("([", "])") if node.kind == "broker" else ("[", "]")
        lines.append(f'  {ids[key]}{opening}"{_escaped(node.label)}"{closing}')
    for edge in edges:
        arrow = ARROWS[edge.kind]
        text = _escaped(f"{_short(edge)}: {edge.label}")
        lines.append(f'  {ids[edge.source]} {arrow}|"{text}"| {ids[edge.target]}')
    return "\n".join(lines)


_ENTITIES = str.maketrans({"#": "#35;", "&": "#38;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "|": "#124;"})


def _escaped(text: str) -> str:
    """Mermaid has no escapes inside of quotes but entities."""
    return " ".join(text.split()).translate(_ENTITIES)


def _dot(nodes: Mapping[str, Node], edges: list[Edge]) -> str:
    lines = ["digraph mesh {", "  rankdir=LR;"]
    for key, node in nodes.items():
        shape = "ellipse" if node.kind == "broker" else "box"
        lines.append(f"  {_quoted(key)} [label={_quoted(node.label)}, shape={shape}];")
    for edge in edges:
        label = _quoted(f"{_short(edge)}: {edge.label}")
        lines.append(
            f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={label}{STYLES[edge.kind]}];"
        )
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    """In DOT only the quote is special; a backslash would begin an escape of labels."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _short(edge: Edge) -> str:
    if edge.relay:
        return f"relay {edge.relay.partition('/')[2]}"
    return edge.trigger.partition("/")[2]
