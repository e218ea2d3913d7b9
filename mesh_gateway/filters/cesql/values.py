"""Types, casts, division and errors of CESQL (specification 1.0.0, sections 3.7 and 4).

String, Integer (32 bits) and Boolean are Python's str, int and bool. Evaluation stops at the first
error: an operation whose operand failed has the zero of its own type, an operation that failed
itself has the value the specification gives it. Errors put their sentence together only when asked for it:
on the data path nobody reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from mesh_gateway.filters.cesql.syntax import Node, Value

ErrorKind = Literal["cast", "math", "missingAttribute", "missingFunction", "functionEvaluation"]
Type = Literal["string", "integer", "boolean"]

MIN, MAX = -(2**31), 2**31 - 1

ZERO: dict[Type, Value] = {"string": "", "integer": 0, "boolean": False}

_integer = re.compile(r"[+-]?[0-9]+\Z", re.ASCII).match
_LONGEST = 64
"""Characters of a text that may be an Integer (leading zeros are allowed); keeps `int` from long texts."""


class EvaluationError(Exception):
    """An expression could not be evaluated.

    `value` is what the failing operation, `node`, gives instead, where that is not the zero of its type.
    """

    kind: ClassVar[ErrorKind]
    value: Value | None = None
    node: Node | None = None


class MissingAttribute(EvaluationError):
    """Of (name)."""

    kind = "missingAttribute"

    def __str__(self) -> str:
        return f'the event has no "{self.args[0]}"'


class CastError(EvaluationError):
    """Of (value, type it was to be)."""

    kind = "cast"

    def __str__(self) -> str:
        value, type = self.args
        return f"{shown(value)} is no {type.capitalize()}"


class MathError(EvaluationError):
    """Of (sentence)."""

    kind = "math"


class MissingFunction(EvaluationError):
    """Of (sentence)."""

    kind = "missingFunction"


class FunctionError(EvaluationError):
    """Of (sentence)."""

    kind = "functionEvaluation"

    def __init__(self, message: str, value: Value) -> None:
        super().__init__(message)
        self.value = value


def to_integer(value: Value) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if len(value) <= _LONGEST and _integer(value) and MIN <= (number := int(value)) <= MAX:
        return number
    raise CastError(value, "integer")


def to_boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    lower = value.lower() if len(value) == 4 or len(value) == 5 else ""
    if lower in ("true", "false"):
        return lower == "true"
    raise CastError(value, "boolean")


def to_string(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


CASTS: dict[Type, Callable[[Value], Any]] = {
    "string": to_string,
    "integer": to_integer,
    "boolean": to_boolean,
}


def like_type_of(value: Value, other: Value) -> Value:
    """`value` cast to the type of `other`."""
    if isinstance(other, bool):
        return to_boolean(value)
    if isinstance(other, int):
        return to_integer(value)
    return to_string(value)


def in_range(number: int) -> int:
    """Overflow is an error here: a filter that overflows matches nothing, and is counted."""
    if MIN <= number <= MAX:
        return number
    raise MathError("the result overflows an Integer (32 bits)")


def divided(left: int, right: int) -> int:
    """Towards zero, as integers of the specification's other languages do."""
    if right == 0:
        raise MathError("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def remainder(left: int, right: int) -> int:
    """With the sign of the left side."""
    return left - right * divided(left, right)


def shown(value: Value) -> str:
    """A value for a message, in CESQL's own spelling, shortened: a producer chose it."""
    if not isinstance(value, str):
        return to_string(value).upper() if isinstance(value, bool) else str(value)
    return repr(value if len(value) <= 40 else value[:40] + "…")
