"""A tree as one Python closure, evaluated in microseconds and without touching the text again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mesh_gateway.event import Event
from mesh_gateway.filters.cesql import functions, syntax
from mesh_gateway.filters.cesql.lexer import CesqlSyntaxError
from mesh_gateway.filters.cesql.like import like
from mesh_gateway.filters.cesql.parser import parse
from mesh_gateway.filters.cesql.syntax import Value
from mesh_gateway.filters.cesql.values import (
    ErrorKind,
    EvaluationError,
    in_range,
    like_type_of,
    to_boolean,
    to_integer,
    to_string,
)

Evaluate = Callable[[Event], Value]

_ZERO: dict[str, Value] = {"string": "", "integer": 0, "boolean": False}


@dataclass(frozen=True, slots=True)
class Result:
    """What an evaluation gave; `error` is None when it went well."""

    value: Value
    error: ErrorKind | None = None
    message: str = ""


class Expression:
    """A compiled expression: pure, for any number of callers."""

    def __init__(self, text: str, root: syntax.Node, surprises: tuple[str, ...]) -> None:
        self.text = text
        self.root = root
        self.surprises = surprises
        """Where the grammar reads it otherwise than people do."""
        self.type = static_type(root)
        """`string`, `integer`, `boolean`, or None when it depends on the event."""
        self.call = _compiled(root)
        """Evaluates; raises `EvaluationError`. The data path uses this."""

    def evaluate(self, event: Event) -> Result:
        """Value and error, as the specification has them."""
        try:
            return Result(self.call(event))
        except EvaluationError as error:
            return Result(self._value_of(error), error.kind, str(error))

    def _value_of(self, error: EvaluationError) -> Value:
        """The failing operation's own value if it is the root, else the zero of the root's type."""
        if error.value is not None and error.node is self.root:
            return error.value
        return _ZERO[self.type or "boolean"]

    def conjuncts(self) -> Iterator[syntax.Node]:
        """The parts of a chain of ANDs; the expression itself when it is none."""
        node = self.root
        while isinstance(node, syntax.Binary) and node.operator == "and":
            yield node.left
            node = node.right
        yield node

    def part(self, node: syntax.Node) -> str:
        """The text of a part."""
        return self.text[node.start : node.end]


def compile(expression: str) -> Expression:
    """Compile an expression. Raises `CesqlSyntaxError`, also for unknown functions."""
    parsed = parse(expression)
    _check_functions(parsed.root)
    return Expression(expression, parsed.root, tuple(parsed.surprises))


def children(node: syntax.Node) -> tuple[syntax.Node, ...]:
    """The operands of a node."""
    match node:
        case syntax.Not() | syntax.Negate() | syntax.Like():
            return (node.operand,)
        case syntax.Binary():
            return (node.left, node.right)
        case syntax.In():
            return (node.operand, *node.elements)
        case syntax.Call():
            return node.arguments
    return ()


def attributes_read(node: syntax.Node) -> frozenset[str]:
    """Names of the attributes an expression looks at."""
    own = {node.name} if isinstance(node, syntax.Attribute | syntax.Exists) else set()
    return frozenset(own.union(*(attributes_read(child) for child in children(node))))


def static_type(node: syntax.Node) -> functions.Type | None:
    match node:
        case syntax.Literal():
            value = node.value
            return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"
        case syntax.Attribute():
            return None
        case syntax.Negate():
            return "integer"
        case syntax.Binary():
            return "integer" if node.operator in "+-*/%" else "boolean"
        case syntax.Call():
            function = functions.find(node.name, len(node.arguments))
            return function.gives if function else "boolean"
    return "boolean"


def evaluate_part(node: syntax.Node, event: Event) -> Result:
    """One part by itself, for explaining."""
    try:
        return Result(_compiled(node)(event))
    except EvaluationError as error:
        return Result(value=False, error=error.kind, message=str(error))


def _check_functions(node: syntax.Node) -> None:
    if isinstance(node, syntax.Call) and functions.find(node.name, len(node.arguments)) is None:
        count = len(node.arguments)
        known = (
            "takes another number of arguments" if node.name in functions.FUNCTIONS else "is not a function"
        )
        raise CesqlSyntaxError(f"{node.name} with {count} argument(s): {known}", node.start + 1)
    for child in children(node):
        _check_functions(child)


def _compiled(node: syntax.Node) -> Evaluate:
    match node:
        case syntax.Literal():
            value = node.value
            return lambda event: value
        case syntax.Attribute():
            return _attribute(node.name)
        case syntax.Exists():
            name = node.name
            return lambda event: name in event.attributes
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
        case syntax.Binary():
            return _binary(node)
    raise AssertionError(node)


def _attribute(name: str) -> Evaluate:
    def read(event: Event) -> Value:
        text = event.attributes.get(name)
        if text is None:
            raise EvaluationError("missingAttribute", f"the event has no {name!r}")
        if event.kinds is not None:
            kind = event.kinds.get(name)
            if kind is not None:
                return text == "true" if kind == "boolean" else int(text)
        return text

    return read


def _boolean(node: syntax.Node) -> Callable[[Event], bool]:
    operand = _compiled(node)
    if static_type(node) == "boolean":
        return operand  # type: ignore[return-value]  # its static type says so
    return lambda event: to_boolean(operand(event))


def _integer(node: syntax.Node) -> Callable[[Event], int]:
    operand = _compiled(node)
    if static_type(node) == "integer":
        return operand  # type: ignore[return-value]
    return lambda event: to_integer(operand(event))


def _binary(node: syntax.Binary) -> Evaluate:
    operator = node.operator
    if operator in ("and", "or", "xor"):
        return _logical(operator, _boolean(node.left), _boolean(node.right))
    if operator in ("=", "!="):
        return _equality(node)
    left, right = _integer(node.left), _integer(node.right)
    match operator:
        case "<":
            return lambda event: left(event) < right(event)
        case "<=":
            return lambda event: left(event) <= right(event)
        case ">":
            return lambda event: left(event) > right(event)
        case ">=":
            return lambda event: left(event) >= right(event)
        case "+":
            return lambda event: in_range(left(event) + right(event))
        case "-":
            return lambda event: in_range(left(event) - right(event))
        case "*":
            return lambda event: in_range(left(event) * right(event))
        case "/":
            return lambda event: in_range(_divided(left(event), right(event)))
    return lambda event: _remainder(left(event), right(event))


def _logical(operator: str, left: Callable[[Event], bool], right: Callable[[Event], bool]) -> Evaluate:
    if operator == "and":
        return lambda event: left(event) and right(event)
    if operator == "or":
        return lambda event: left(event) or right(event)
    return lambda event: left(event) is not right(event)


def _equality(node: syntax.Binary) -> Evaluate:
    left, right = _compiled(node.left), _compiled(node.right)
    wanted = node.operator == "="
    if isinstance(node.right, syntax.Literal):
        value = node.right.value

        def against(event: Event) -> bool:
            found = left(event)
            if type(found) is not type(value):
                found = like_type_of(found, value)
            return (found == value) is wanted

        return against

    def compared(event: Event) -> bool:
        found, other = left(event), right(event)
        return (like_type_of(found, other) == other) is wanted

    return compared


def _divided(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("math", "division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("math", "division by zero")
    return left - right * _divided(left, right)


def _like(node: syntax.Like) -> Evaluate:
    operand = _compiled(node.operand)
    matches = like(node.pattern)
    wanted = not node.negated
    return lambda event: matches(to_string(operand(event))) is wanted


def _in(node: syntax.In) -> Evaluate:
    operand = _compiled(node.operand)
    elements = [_compiled(element) for element in node.elements]
    wanted = not node.negated
    texts = [e.value for e in node.elements if isinstance(e, syntax.Literal) and isinstance(e.value, str)]
    if len(texts) == len(elements):
        return _in_texts(operand, frozenset(texts), texts, wanted=wanted)

    def member(event: Event) -> bool:
        value = operand(event)
        found = any(like_type_of(element(event), value) == value for element in elements)
        return found is wanted

    return member


def _in_texts(operand: Evaluate, texts: frozenset[str], order: list[str], *, wanted: bool) -> Evaluate:
    def member(event: Event) -> bool:
        value = operand(event)
        if isinstance(value, str):
            return (value in texts) is wanted
        return any(like_type_of(text, value) == value for text in order) is wanted

    return member


def _call(node: syntax.Call) -> Evaluate:
    function = functions.find(node.name, len(node.arguments))
    assert function is not None  # checked before
    call = function.call
    arguments = [_compiled(argument) for argument in node.arguments]
    casts = functions.casts_for(function, len(arguments))

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
