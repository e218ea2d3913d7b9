"""What a tree says without an event: types, attributes, demands, unknown functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from mesh_gateway.filters.cesql import functions, syntax
from mesh_gateway.filters.cesql.like import like
from mesh_gateway.filters.cesql.values import Type

Demand = tuple[Literal["exact", "prefix", "suffix"], str, str]


def static_type(node: syntax.Node) -> Type | None:
    """What evaluating gives; None for an attribute, whose type is the event's business."""
    match node:
        case syntax.Literal(value=bool()):
            return "boolean"
        case syntax.Literal(value=int()) | syntax.Negate():
            return "integer"
        case syntax.Literal():
            return "string"
        case syntax.Attribute():
            return None
        case syntax.Binary():
            return "integer" if node.operator in ("+", "-", "*", "/", "%") else "boolean"
        case syntax.Call():
            function = functions.find(node.name, len(node.arguments))
            return function.gives if function else "boolean"
    return "boolean"


def attributes_read(node: syntax.Node) -> frozenset[str]:
    """Names of the attributes an expression looks at."""
    return frozenset(
        inner.name for inner in _every(node) if isinstance(inner, syntax.Attribute | syntax.Exists)
    )


def missing_functions(node: syntax.Node) -> Sequence[tuple[int, str]]:
    """(column from 1, sentence) of every call that no function takes."""
    return [
        (inner.start + 1, functions.missing(inner.name, len(inner.arguments)))
        for inner in _every(node)
        if isinstance(inner, syntax.Call) and functions.find(inner.name, len(inner.arguments)) is None
    ]


def conjuncts(node: syntax.Node) -> Sequence[syntax.Node]:
    """The parts joined by AND at the top, in the order of evaluation; the node itself when it is no AND."""
    if isinstance(node, syntax.Logical) and node.operator == "and":
        return [part for operand in node.operands for part in conjuncts(operand)]
    return [node]


def demands(node: syntax.Node) -> Sequence[Demand]:
    """Comparisons of canonical strings without which the expression is not true."""
    return [demand for part in conjuncts(node) for demand in _demands_of(part)]


def _demands_of(part: syntax.Node) -> Sequence[Demand]:
    match part:
        # The left side is cast to the type of the right, so text on the right compares canonical strings.
        case syntax.Binary(
            operator="=", left=syntax.Attribute(name=name), right=syntax.Literal(value=str() as value)
        ):
            return [("exact", name, value)]
        case syntax.Like(operand=syntax.Attribute(name=name), negated=False):
            pattern = like(part.pattern)
            if pattern.exact is not None:
                return [("exact", name, pattern.exact)]
            found: list[Demand] = []
            if pattern.prefix:
                found.append(("prefix", name, pattern.prefix))
            if pattern.suffix:
                found.append(("suffix", name, pattern.suffix))
            return found
    return []


def _every(node: syntax.Node) -> Iterator[syntax.Node]:
    """The node and all below it."""
    yield node
    for child in syntax.children(node):
        yield from _every(child)
