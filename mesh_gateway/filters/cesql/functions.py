"""The built-in functions, by name and number of arguments (CESQL 1.0.0, section 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mesh_gateway.filters.cesql.syntax import Value
from mesh_gateway.filters.cesql.values import (
    MAX,
    MIN,
    EvaluationError,
    to_boolean,
    to_integer,
    to_string,
)

Type = Literal["string", "integer", "boolean"]

CASTS: dict[Type, Callable[[Value], Any]] = {
    "string": to_string,
    "integer": to_integer,
    "boolean": to_boolean,
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function; arguments are cast to `takes` (the last repeats) before `call`."""

    call: Callable[..., Value]
    takes: tuple[Type | Literal["any"], ...]
    gives: Type
    least: int
    most: int | None


def find(name: str, count: int) -> Function | None:
    """The function of that name that takes `count` arguments."""
    function = FUNCTIONS.get(name)
    if function is None or count < function.least or (function.most is not None and count > function.most):
        return None
    return function


def _failed(message: str, value: Value) -> EvaluationError:
    return EvaluationError("functionEvaluation", message, value)


def _concat_ws(separator: str, *parts: str) -> str:
    return separator.join(parts)


def _left(text: str, count: int) -> str:
    if count < 0:
        raise _failed("LEFT takes no negative length", text)
    return text[:count]


def _right(text: str, count: int) -> str:
    if count < 0:
        raise _failed("RIGHT takes no negative length", text)
    return text[max(0, len(text) - count) :]


def _substring(text: str, position: int, length: int | None = None) -> str:
    if position == 0:
        return ""
    if abs(position) > len(text):
        raise _failed(f"position {position} is outside the string", "")
    if length is not None and length < 0:
        raise _failed("SUBSTRING takes no negative length", "")
    start = position - 1 if position > 0 else len(text) + position
    return text[start:] if length is None else text[start : start + length]


def _abs(number: int) -> int:
    if number == MIN:
        raise EvaluationError("math", "the absolute value overflows an Integer", MAX)
    return abs(number)


def _cast(cast: Callable[[Value], Value], *, zero: Value) -> Callable[[Value], Value]:
    def call(value: Value) -> Value:
        try:
            return cast(value)
        except EvaluationError as error:
            raise EvaluationError("cast", str(error), zero) from None

    return call


def _any(*types: Type | Literal["any"]) -> tuple[Type | Literal["any"], ...]:
    return types


FUNCTIONS: dict[str, Function] = {
    "LENGTH": Function(len, _any("string"), "integer", 1, 1),
    "CONCAT": Function(lambda *parts: "".join(parts), _any("string"), "string", 0, None),
    "CONCAT_WS": Function(_concat_ws, _any("string"), "string", 1, None),
    "LOWER": Function(str.lower, _any("string"), "string", 1, 1),
    "UPPER": Function(str.upper, _any("string"), "string", 1, 1),
    "TRIM": Function(str.strip, _any("string"), "string", 1, 1),
    "LEFT": Function(_left, _any("string", "integer"), "string", 2, 2),
    "RIGHT": Function(_right, _any("string", "integer"), "string", 2, 2),
    "SUBSTRING": Function(_substring, _any("string", "integer", "integer"), "string", 2, 3),
    "ABS": Function(_abs, _any("integer"), "integer", 1, 1),
    "INT": Function(_cast(to_integer, zero=0), _any("any"), "integer", 1, 1),
    "BOOL": Function(_cast(to_boolean, zero=False), _any("any"), "boolean", 1, 1),
    "STRING": Function(to_string, _any("any"), "string", 1, 1),
}


def casts_for(function: Function, count: int) -> Sequence[Callable[[Value], Any] | None]:
    """How each of `count` arguments is cast; None = as it is."""
    takes = [function.takes[min(i, len(function.takes) - 1)] for i in range(count)]
    return [None if kind == "any" else CASTS[kind] for kind in takes]
