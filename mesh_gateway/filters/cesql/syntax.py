"""The tree of an expression. Every node knows its place in the text, so that a refusal can quote it."""

from __future__ import annotations

import typing
from dataclasses import dataclass

Value = str | int | bool
Connective = typing.Literal["and", "or", "xor"]


@dataclass(frozen=True, slots=True)
class Node:
    """`start` and `end` are offsets into the expression; brackets around
    the whole node are not part of it.
    """

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: Value


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Exists(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Not(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class Negate(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class Logical(Node):
    """Two or more operands joined by the same `and`, `or` or `xor`; all three are associative."""

    operator: Connective
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`operator` is one of `= != < <= > >= + - * / %`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Like(Node):
    operand: Node
    pattern: str
    negated: bool


@dataclass(frozen=True, slots=True)
class In(Node):
    operand: Node
    elements: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name` is upper case; whether there is such a function is not the parser's question."""

    name: str
    arguments: tuple[Node, ...]


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node, in the order of the text."""
    match node:
        case Not() | Negate() | Like():
            return (node.operand,)
        case Logical():
            return node.operands
        case Binary():
            return (node.left, node.right)
        case In():
            return (node.operand, *node.elements)
        case Call():
            return node.arguments
    return ()
