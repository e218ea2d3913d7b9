"""The mesh as a picture: brokers, triggers with their filters, where events and dead letters go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, assert_never

from mesh_gateway.filters.dialects import DIALECTS, parse
from mesh_gateway.topology.spec import (
    BrokerDestination,
    Destination,
    GatewaySpec,
    HttpDestination,
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
    """From a broker to a destination, by a trigger."""

    source: str
    target: str
    trigger: str
    label: str
    kind: Literal["delivery", "dead letter"]


def render(spec: GatewaySpec, format: Literal["mermaid", "dot", "json"] = "mermaid") -> str:
    """The graph as text that other tools draw, or as JSON."""
    edges = [edge for trigger in spec.triggers.values() for edge in _edges(trigger)]
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


def _filter(trigger: TriggerSpec) -> str:
    dialects = {name: _anything for name in _names(trigger.filters) if name not in DIALECTS}
    text = parse(trigger.filters, trigger.filter_attributes, dialects).describe() or "everything"
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


def _mermaid(nodes: Mapping[str, Node], edges: list[Edge]) -> str:
    ids = {key: f"n{i}" for i, key in enumerate(nodes)}
    lines = ["flowchart LR"]
    for key, node in nodes.items():
        opening, closing = ("([", "])") if node.kind == "broker" else ("[", "]")
        lines.append(f'  {ids[key]}{opening}"{_escaped(node.label)}"{closing}')
    for edge in edges:
        arrow = "-.->" if edge.kind == "dead letter" else "-->"
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
        style = ", style=dashed" if edge.kind == "dead letter" else ""
        label = _quoted(f"{_short(edge)}: {edge.label}")
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={label}{style}];")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    """In DOT only the quote is special; a backslash would begin an escape of labels."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _short(edge: Edge) -> str:
    return edge.trigger.partition("/")[2]
