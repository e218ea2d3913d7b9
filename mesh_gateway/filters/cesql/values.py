"""Types, casts and errors of CESQL (specification 1.0.0, sections 3.7 and 4).

String, Integer (32 bits) and Boolean are Python's str, int and bool. Evaluation stops at the first
error: an operation whose operand failed has the zero of its own type, an operation that failed
itself has the value the specification gives it.
"""

from __future__ import annotations

import re
from typing import Literal

from mesh_gateway.filters.cesql.syntax import Node, Value

ErrorKind = Literal["cast", "math", "missingAttribute", "missingFunction", "functionEvaluation"]

MIN, MAX = -(2**31), 2**31 - 1

_integer = re.compile(r"[+-]?[0-9]{1,10}\Z", re.ASCII).match


class EvaluationError(Exception):
    """An expression could not be evaluated.

    `value` is what the failing operation gives instead, where that is not the zero of its type;
    `node` is the operation, when it has such a value.
    """

    def __init__(self, kind: ErrorKind, message: str, value: Value | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.value = value
        self.node: Node | None = None


def to_integer(value: Value) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if _integer(value) and MIN <= (number := int(value)) <= MAX:
        return number
    raise EvaluationError("cast", f"{_shown(value)} is not an Integer")


def to_boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    lower = value.lower()
    if lower in ("true", "false"):
        return lower == "true"
    raise EvaluationError("cast", f"{_shown(value)} is not a Boolean")


def to_string(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


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
    raise EvaluationError("math", f"{number} overflows an Integer")


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "…")
