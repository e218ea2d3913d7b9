"""The mesh as a picture: brokers, triggers, where they deliver and where dead letters go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, cast

from mesh_gateway.filters.dialects import Dialects, parse
from mesh_gateway.topology.spec import (
    BrokerDestination,
    Destination,
    GatewaySpec,
    HttpDestination,
    TriggerSpec,
)

Form = Literal["mermaid", "dot", "json"]


@dataclass(frozen=True, slots=True)
class Edge:
    """From a broker to a destination, by a trigger."""

    source: str
    target: str
    trigger: str
    label: str
    kind: Literal["delivery", "dead letter"]


def render(spec: GatewaySpec, form: Form = "mermaid") -> str:
    """The graph as text that other tools draw."""
    nodes = {f"broker {key}": key for key in spec.brokers}
    edges = [edge for trigger in spec.triggers.values() for edge in _edges(trigger)]
    for edge in edges:
        nodes.setdefault(edge.target, edge.target.removeprefix("broker "))
    if form == "json":
        listed = [
            {"id": id, "label": label, "broker": id.startswith("broker ")} for id, label in nodes.items()
        ]
        drawn = [{name: getattr(edge, name) for name in Edge.__slots__} for edge in edges]
        return json.dumps({"nodes": listed, "edges": drawn}, indent=2)
    return _mermaid(nodes, edges) if form == "mermaid" else _dot(nodes, edges)


def _edges(trigger: TriggerSpec) -> list[Edge]:
    source = f"broker {trigger.broker}"
    label = (
        parse(trigger.filters, trigger.filter_attributes, cast(Dialects, _Anything())).describe()
        or "everything"
    )
    found = [Edge(source, _target(trigger.destination), trigger.key, label, "delivery")]
    if trigger.delivery.dead_letter_sink is not None:
        found.append(
            Edge(
                source, _target(trigger.delivery.dead_letter_sink), trigger.key, "dead letters", "dead letter"
            )
        )
    return found


class _Anything(dict[str, object]):
    """Dialects of plugins, for drawing: their names are enough."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __missing__(self, name: str) -> object:
        return lambda value: lambda attributes: True


def _target(destination: Destination) -> str:
    if isinstance(destination, BrokerDestination):
        return f"broker {destination.broker}"
    return destination.url if isinstance(destination, HttpDestination) else destination.uri


def _mermaid(nodes: dict[str, str], edges: list[Edge]) -> str:
    ids = {node: f"n{i}" for i, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node, label in nodes.items():
        shape = f'(["{_quoted(label)}"])' if node.startswith("broker ") else f'["{_quoted(label)}"]'
        lines.append(f"  {ids[node]}{shape}")
    for edge in edges:
        arrow = "-.->" if edge.kind == "dead letter" else "-->"
        name = edge.trigger.partition("/")[2]
        lines.append(
            f'  {ids[edge.source]} {arrow}|"{_quoted(name)}: {_quoted(edge.label)}"| {ids[edge.target]}'
        )
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return (
        text.replace("&", "&amp;")
        .replace('"', "&quot;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("|", "&#124;")
    )


def _dot(nodes: dict[str, str], edges: list[Edge]) -> str:
    lines = ["digraph mesh {", "  rankdir=LR;"]
    for node, label in nodes.items():
        shape = "ellipse" if node.startswith("broker ") else "box"
        lines.append(f"  {json.dumps(node)} [label={json.dumps(label)}, shape={shape}];")
    for edge in edges:
        style = ", style=dashed" if edge.kind == "dead letter" else ""
        label = json.dumps(f"{edge.trigger.partition('/')[2]}: {edge.label}")
        lines.append(f"  {json.dumps(edge.source)} -> {json.dumps(edge.target)} [label={label}{style}];")
    return "\n".join([*lines, "}"])
