"""The built-in functions, by name and number of arguments (CESQL 1.0.0, section 3.5)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mesh_gateway.filters.cesql.syntax import Value
from mesh_gateway.filters.cesql.values import (
    CASTS,
    MAX,
    MIN,
    CastError,
    FunctionError,
    MathError,
    Type,
    to_boolean,
    to_integer,
    to_string,
)

MAX_TEXT = 1_048_576
"""Characters that CONCAT and CONCAT_WS may give. An expression can name a long attribute hundreds of
times; no attribute of an event within the default size limit is longer than this."""

Takes = Type | Literal["any"]


@dataclass(frozen=True, slots=True)
class Function:
    """A function; arguments are cast to `takes` (the last repeats) before `call`."""

    call: Callable[..., Value]
    takes: tuple[Takes, ...]
    gives: Type
    least: int
    most: int | None

    def casts(self, count: int) -> Sequence[Callable[[Value], Any] | None]:
        """How each of `count` arguments is cast; None = as it is."""
        takes = [self.takes[min(i, len(self.takes) - 1)] for i in range(count)]
        return [None if kind == "any" else CASTS[kind] for kind in takes]


def find(name: str, count: int) -> Function | None:
    """The function of that name that takes `count` arguments."""
    function = FUNCTIONS.get(name)
    if function is None or count < function.least or (function.most is not None and count > function.most):
        return None
    return function


def missing(name: str, count: int) -> str:
    """Why `find` found nothing, as a sentence."""
    function = FUNCTIONS.get(name)
    if function is None:
        close = difflib.get_close_matches(name, FUNCTIONS, n=1)
        return f"there is no function {name}" + (f", did you mean {close[0]}?" if close else "")
    if function.most is None:
        takes = f"at least {function.least}"
    else:
        takes = " or ".join(str(number) for number in range(function.least, function.most + 1))
    return f"{name} takes {takes} argument(s), not {count}"


def _concat(*parts: str) -> str:
    return _joined("", parts)


def _concat_ws(separator: str, *parts: str) -> str:
    return _joined(separator, parts)


def _joined(separator: str, parts: Sequence[str]) -> str:
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_TEXT:
        raise FunctionError(f"the text would be longer than {MAX_TEXT} characters", "")
    return separator.join(parts)


def _left(text: str, count: int) -> str:
    if count < 0:
        raise FunctionError("LEFT takes no negative length", text)
    return text[:count]


def _right(text: str, count: int) -> str:
    if count < 0:
        raise FunctionError("RIGHT takes no negative length", text)
    return text[max(0, len(text) - count) :]


def _substring(text: str, position: int, length: int | None = None) -> str:
    if length is not None and length < 0:
        raise FunctionError("SUBSTRING takes no negative length", "")
    if position == 0:
        return ""
    if abs(position) > len(text):
        raise FunctionError(f"position {position} is outside the string", "")
    start = position - 1 if position > 0 else len(text) + position
    return text[start:] if length is None else text[start : start + length]


def _abs(number: int) -> int:
    if number == MIN:
        error = MathError("the absolute value overflows an Integer (32 bits)")
        error.value = MAX
        raise error
    return abs(number)


def _cast(cast: Callable[[Value], Value], zero: Value) -> Callable[[Value], Value]:
    """INT and BOOL: a cast that fails is this operation's own failure, with a value of its own."""

    def call(value: Value) -> Value:
        try:
            return cast(value)
        except CastError as error:
            error.value = zero
            raise

    return call


FUNCTIONS: dict[str, Function] = {
    "LENGTH": Function(len, ("string",), "integer", 1, 1),
    "CONCAT": Function(_concat, ("string",), "string", 0, None),
    "CONCAT_WS": Function(_concat_ws, ("string",), "string", 1, None),
    "LOWER": Function(str.lower, ("string",), "string", 1, 1),
    "UPPER": Function(str.upper, ("string",), "string", 1, 1),
    "TRIM": Function(str.strip, ("string",), "string", 1, 1),
    "LEFT": Function(_left, ("string", "integer"), "string", 2, 2),
    "RIGHT": Function(_right, ("string", "integer"), "string", 2, 2),
    "SUBSTRING": Function(_substring, ("string", "integer", "integer"), "string", 2, 3),
    "ABS": Function(_abs, ("integer",), "integer", 1, 1),
    "INT": Function(_cast(to_integer, 0), ("any",), "integer", 1, 1),
    "BOOL": Function(_cast(to_boolean, False), ("any",), "boolean", 1, 1),  # noqa: FBT003  # the zero of its type
    "STRING": Function(to_string, ("any",), "string", 1, 1),
}
