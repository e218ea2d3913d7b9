"""Expressions and values made to hurt: refused, or false in few steps. Steps are lines of ours that ran, not time."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.filters import cesql
from mesh_gateway.filters.cesql.lexer import MAX_TOKENS
from mesh_gateway.filters.cesql.parser import MAX_DEPTH
from mesh_gateway.filters.dialects import FilterFaults, parse

LONG = 20_000
EVENT = Event({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "a" * LONG, "n": "7"})


def steps(call: Callable[[], object]) -> int:
    """Lines of `mesh_gateway` that a call ran."""
    count = 0

    def trace(frame: FrameType, what: str, argument: Any) -> Any:
        nonlocal count
        if "mesh_gateway" not in frame.f_code.co_filename:
            return None
        count += what == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def refused(expression: str) -> None:
    with pytest.raises(FilterFaults):
        parse([{"cesql": expression}])


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 10_000 + "TRUE" + ")" * 10_000,
        "(" * 1_500 + "TRUE" + ")" * 1_500,
        "NOT " * 10_000 + "TRUE",
        "NOT " * 900 + "TRUE",
        "-" * 900 + "n = 1",
        "1 " + "+ 1 " * 490 + "= 1",
        "n " + "LIKE 'a' " * 490,
        "n " + "IN (1) " * 240,
        "n " + "= 1 " * 490,
        "TRUE " + "AND TRUE OR TRUE " * 200,
        "ABS(" * 300 + "1" + ")" * 300 + " = 1",
        "type = '" + "x" * 1_048_576 + "'",
        "'" + "''" * 2_000,
        '"' + "\\" * 4_001,
        "9" * 4_096 + " = 1",
        "CONCAT(" + ", ".join(["n"] * 600) + ") = ''",
    ],
    ids=lambda expression: expression[:12],
)
def test_a_monstrous_expression_is_refused_in_few_steps(expression: str) -> None:
    assert steps(lambda: refused(expression)) < 200 * MAX_TOKENS


def test_a_long_chain_is_no_deep_one() -> None:
    one = parse([{"cesql": " OR ".join(f"n = '{i}'" for i in range(240))}])
    assert one.matches(EVENT)
    assert parse([{"cesql": " AND ".join(["n = '7'"] * 240)}]).matches(EVENT)


def test_the_deepest_expression_allowed_still_evaluates() -> None:
    """With every operation that takes most of Python's stack, from a caller that has used a good part of it."""
    deepest = "n"
    for _ in range((MAX_DEPTH - 3) // 3):
        deepest = f"ABS(- ({deepest} + 0))"
    one = parse([{"cesql": f"{deepest} = 7"}])
    nested: dict[str, Any] = {"cesql": f"{deepest} = 7"}
    for _ in range(16):
        nested = {"any": [{"exact": {"type": "x"}}, {"all": [nested, {"exact": {"type": "t"}}]}]}
    inside = parse([nested])

    def deep_caller(frames: int) -> bool:
        return deep_caller(frames - 1) if frames else one.matches(EVENT) and inside.matches(EVENT)

    assert deep_caller(300)


@pytest.mark.parametrize(
    "pattern",
    [
        "%a" * 50 + "b",
        "%a" * 50,
        "%" * 2_000,
        "%_a" * 50 + "b",
        "%" + "_a" * 500 + "b%",
        "_" * 3_000,
        "%a_" * 300,
    ],
    ids=lambda pattern: pattern[:8],
)
def test_like_takes_steps_in_proportion_to_the_text(pattern: str) -> None:
    one = parse([{"cesql": f"subject LIKE '{pattern}'"}])
    assert steps(lambda: one.matches(EVENT)) < 5 * LONG


def test_a_text_cannot_be_multiplied_without_limit() -> None:
    many = ", ".join(["subject"] * 400)
    for call in (f"CONCAT({many})", f"CONCAT_WS(subject, {many})"):
        result = cesql.compile(f"{call} = 'x'").evaluate(EVENT)
        assert (result.value, result.error) == (False, "functionEvaluation")


def test_a_number_of_a_producer_cannot_be_too_long_to_read() -> None:
    event = EVENT.with_attributes({"n": "1" * 100_000})
    one = parse([{"cesql": "n > 1"}])
    assert not one.matches(event)
    assert one.errors == 1
    reason = one.why_not(event)
    assert reason is not None
    assert len(reason) < 300
