"""A tree as one Python closure, evaluated in microseconds and without touching the text again.

Where the shape of an operand is known, the closure is made for it: an attribute whose text alone is asked for
is read without looking at its type, a constant right side is cast once, a list of constant texts is a set.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from mesh_gateway.event import Event
from mesh_gateway.filters import attributes
from mesh_gateway.filters.cesql import functions, syntax
from mesh_gateway.filters.cesql.analysis import missing_functions, static_type
from mesh_gateway.filters.cesql.like import like
from mesh_gateway.filters.cesql.parser import parse
from mesh_gateway.filters.cesql.syntax import Value
from mesh_gateway.filters.cesql.values import (
    ZERO,
    ErrorKind,
    EvaluationError,
    MissingAttribute,
    MissingFunction,
    divided,
    in_range,
    like_type_of,
    remainder,
    to_boolean,
    to_integer,
    to_string,
)

Evaluate = Callable[[Event], Value]


@dataclass(frozen=True, slots=True)
class Result:
    """What an evaluation gave; `error` is None when it went well."""

    value: Value
    error: ErrorKind | None = None
    message: str = ""


class Expression:
    """A compiled expression: pure, for any number of callers."""

    __slots__ = ("call", "missing", "root", "surprise", "text", "type")

    def __init__(self, text: str, root: syntax.Node, surprise: str | None) -> None:
        self.text = text
        self.root = root
        self.surprise = surprise
        """How it is read, where people may read it otherwise; None mostly."""
        self.type = static_type(root)
        """`string`, `integer`, `boolean`, or None when it depends on the event."""
        self.missing = missing_functions(root)
        """(column, sentence) of every call of a function that does not exist; evaluated, it is an error."""
        self.call = _compiled(root)
        """Evaluates; raises `EvaluationError`. The data path uses this."""

    def evaluate(self, event: Event) -> Result:
        """Value and error, as the specification has them."""
        try:
            return Result(self.call(event))
        except EvaluationError as error:
            own = error.value if error.node is self.root else None
            value = ZERO[self.type or "boolean"] if own is None else own
            return Result(value, error.kind, str(error))


def compile(expression: str) -> Expression:
    """Compile an expression. Raises `CesqlSyntaxError`."""
    parsed = parse(expression)
    return Expression(expression, parsed.root, parsed.surprise)


def evaluate_conjunct(part: syntax.Node, event: Event, *, alone: bool) -> Result:
    """One part of a chain of ANDs, cast as the AND casts it; `alone`: the whole expression, cast by nobody."""
    call = _compiled(part) if alone else _boolean(part)
    try:
        return Result(call(event))
    except EvaluationError as error:
        return Result(value=False, error=error.kind, message=str(error))


def _compiled(node: syntax.Node) -> Evaluate:
    match node:
        case syntax.Literal(value=value):
            return lambda event: value
        case syntax.Attribute():
            return _attribute(node.name, attributes.value_reader(node.name))
        case syntax.Exists():
            read = attributes.text_reader(node.name)
            return lambda event: read(event) is not None
        case syntax.Not():
            inverted = _boolean(node.operand)
            return lambda event: not inverted(event)
        case syntax.Negate():
            number = _integer(node.operand)
            return lambda event: in_range(-number(event))
        case syntax.Like():
            return _like(node)
        case syntax.In():
            return _in(node)
        case syntax.Call():
            return _call(node)
        case syntax.Logical():
            return _logical(node.operator, [_boolean(operand) for operand in node.operands])
        case syntax.Binary():
            return _equality(node) if node.operator in ("=", "!=") else _arithmetic(node)
    raise AssertionError(node)


# ── operands, cast to one type ───────────────────────────────────────────────────────────────


def _attribute(name: str, read: Callable[[Event], Value | None]) -> Evaluate:
    def value(event: Event) -> Value:
        found = read(event)
        if found is None:
            raise MissingAttribute(name)
        return found

    return value


def _boolean(node: syntax.Node) -> Callable[[Event], bool]:
    operand = _compiled(node)
    if static_type(node) == "boolean":
        return cast("Callable[[Event], bool]", operand)
    return lambda event: to_boolean(operand(event))


def _integer(node: syntax.Node) -> Callable[[Event], int]:
    operand = _compiled(node)
    if static_type(node) == "integer":
        return cast("Callable[[Event], int]", operand)
    return lambda event: to_integer(operand(event))


def _string(node: syntax.Node) -> Callable[[Event], str]:
    """An attribute cast to String is its canonical text, whatever type it came with."""
    if isinstance(node, syntax.Attribute):
        return cast("Callable[[Event], str]", _attribute(node.name, attributes.text_reader(node.name)))
    operand = _compiled(node)
    if static_type(node) == "string":
        return cast("Callable[[Event], str]", operand)
    return lambda event: to_string(operand(event))


# ── operations ───────────────────────────────────────────────────────────────────────────────


def _logical(connective: syntax.Connective, tests: Sequence[Callable[[Event], bool]]) -> Evaluate:
    """AND and OR stop at the first operand that decides (a MUST of 3.4.3); XOR needs them all."""
    if connective == "xor":
        return lambda event: sum(test(event) for test in tests) % 2 == 1
    if len(tests) == 2:
        first, second = tests
        if connective == "and":
            return lambda event: first(event) and second(event)
        return lambda event: first(event) or second(event)
    decisive = connective == "or"

    def decided(event: Event) -> bool:
        for test in tests:  # a generator would double its cost
            if test(event) is decisive:
                return decisive
        return not decisive

    return decided


def _equality(node: syntax.Binary) -> Evaluate:
    """The left side is cast to the type of the right (TCK, binary comparison operators)."""
    wanted = node.operator == "="
    if isinstance(node.right, syntax.Literal):
        value = node.right.value
        if isinstance(value, str):
            return _equal_text(node.left, value, wanted=wanted)
        left = _boolean(node.left) if isinstance(value, bool) else _integer(node.left)
        return lambda event: (left(event) == value) is wanted
    first, second = _compiled(node.left), _compiled(node.right)

    def compared(event: Event) -> bool:
        found, other = first(event), second(event)
        return (like_type_of(found, other) == other) is wanted

    return compared


def _equal_text(node: syntax.Node, value: str, *, wanted: bool) -> Evaluate:
    if isinstance(node, syntax.Attribute) and attributes.is_plain(node.name):
        name = node.name

        def same(event: Event) -> bool:
            found = event.attributes.get(name)
            if found is None:
                raise MissingAttribute(name)
            return (found == value) is wanted

        return same
    text = _string(node)
    return lambda event: (text(event) == value) is wanted


def _arithmetic(node: syntax.Binary) -> Evaluate:
    left, right = _integer(node.left), _integer(node.right)
    compare = _ORDER.get(node.operator)
    if compare is not None:
        return lambda event: compare(left(event), right(event))
    compute = _COMPUTE[node.operator]
    return lambda event: in_range(compute(left(event), right(event)))


_ORDER: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPUTE: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divided,
    "%": remainder,
}


def _like(node: syntax.Like) -> Evaluate:
    pattern = like(node.pattern)
    matches, wanted = pattern.matches, not node.negated
    if not isinstance(node.operand, syntax.Attribute) or not attributes.is_plain(node.operand.name):
        text = _string(node.operand)
        return lambda event: matches(text(event)) is wanted
    if pattern.affixes:
        return _affixed(node.operand.name, pattern.prefix, pattern.suffix, wanted=wanted)
    name = node.operand.name

    def fits(event: Event) -> bool:
        found = event.attributes.get(name)
        if found is None:
            raise MissingAttribute(name)
        return matches(found) is wanted

    return fits


def _affixed(name: str, prefix: str, suffix: str, *, wanted: bool) -> Evaluate:
    """An attribute LIKE 'prefix%suffix', without a call: the shape of most filters that no index reaches."""
    least = len(prefix) + len(suffix)

    def fits(event: Event) -> bool:
        found = event.attributes.get(name)
        if found is None:
            raise MissingAttribute(name)
        return (found.startswith(prefix) and found.endswith(suffix) and len(found) >= least) is wanted

    return fits


def _in(node: syntax.In) -> Evaluate:
    """Each element is cast to the type of the left side; the first cast that fails ends it, as in sdk-go."""
    operand = _compiled(node.operand)
    elements = [_compiled(element) for element in node.elements]
    texts = [e.value for e in node.elements if isinstance(e, syntax.Literal) and isinstance(e.value, str)]
    constant = frozenset(texts) if len(texts) == len(elements) else None
    wanted = not node.negated

    def member(event: Event) -> bool:
        value = operand(event)
        if constant is not None and isinstance(value, str):
            return (value in constant) is wanted
        return any(like_type_of(element(event), value) == value for element in elements) is wanted

    return member


def _call(node: syntax.Call) -> Evaluate:
    function = functions.find(node.name, len(node.arguments))
    if function is None:
        return _missing(functions.missing(node.name, len(node.arguments)))
    call = function.call
    arguments = [_compiled(argument) for argument in node.arguments]
    casts = function.casts(len(arguments))

    def evaluate(event: Event) -> Value:
        values = [
            argument(event) if cast is None else cast(argument(event))
            for argument, cast in zip(arguments, casts, strict=True)
        ]
        try:
            return call(*values)
        except EvaluationError as error:
            error.node = node
            raise

    return evaluate


def _missing(sentence: str) -> Evaluate:
    def evaluate(event: Event) -> Value:
        raise MissingFunction(sentence)

    return evaluate
