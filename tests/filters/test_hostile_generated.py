"""Eight thousand generated expressions and dialects: refused with faults, or evaluated without an exception, in bounded steps."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import FilterFaults, parse
from tests.filters.test_hostile import steps

EXPRESSIONS = 8_000
SEEDS = range(16)
STEPS_EACH = 60
"""Lines that run for each character of an expression when it is parsed, at most: the lexer, the parser and the checks see it a
few times. A nesting that is looked at again on each level would be thousands."""

STEPS_AT_MOST = 20_000
"""Lines that one evaluation runs, at most, whatever the expression and the event: a few milliseconds."""

ATOMS = (
    "type", "id", "subject", "n", "missing", "TRUE", "FALSE", "1", "0", "-1", "2147483647", "-2147483648", "''", "'a'", '"b"', "'%'",
    "'\u00e9'", "'\U0001f389'",
)  # fmt: skip
PATTERNS = (
    "'%'",
    "'_'",
    "'%a%a%a%a%a%b'",
    "'%_a%_a%_a%b'",
    "'a\\%'",
    "'" + "%a" * 500 + "'",
    "'" + "_" * 1_000 + "'",
)
BINARY = ("=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "AND", "OR", "XOR")
UNARY = ("NOT ", "-", "- -", "NOT NOT ")
CALLS = {
    "ABS": 1, "LENGTH": 1, "UPPER": 1, "LOWER": 1, "TRIM": 1, "CONCAT": 3, "CONCAT_WS": 3, "LEFT": 2, "RIGHT": 2, "SUBSTRING": 2, "INT": 1,
    "BOOL": 1, "STRING": 1, "IS_INT": 1, "IS_BOOL": 1,
}  # fmt: skip
JUNK = (
    "(", ")", "'", '"', ",", "\0", "\n", "--", "/*", ";", "\u202e", "\ud800", "''", "NOT", "LIKE", "IN (", "ABS(", " ", "\\", "%", "==", "&&", "NaN",
    "1e999", "0x1", "99999999999999999999", "EVAL(1)", "EXISTS 1",
)  # fmt: skip

EVENTS = (
    Event({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}),
    Event(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/s",
            "type": "a" * 2_000,
            "subject": "a" * 2_000,
            "n": "9" * 8_000,
        }
    ),
    Event(
        {
            "specversion": "1.0",
            "id": "",
            "source": "\u202e",
            "type": "%",
            "subject": "\U0001f389" * 500,
            "n": "-2147483648",
        }
    ),
)


def expression(chance: random.Random, depth: int) -> str:
    """Mostly by the grammar, to get behind the parser."""
    if depth == 0 or chance.random() < 0.15:
        return chance.choice(ATOMS)
    below = depth - 1
    match chance.randrange(8):
        case 0:
            return chance.choice(UNARY) + expression(chance, below)
        case 1:
            return f"({expression(chance, below)})"
        case 2:
            name = chance.choice(list(CALLS))
            return f"{name}({', '.join(expression(chance, below) for _ in range(CALLS[name]))})"
        case 3:
            several = ", ".join(chance.choice(ATOMS) for _ in range(chance.randint(1, 6)))
            return f"{expression(chance, below)} {chance.choice(('IN', 'NOT IN'))} ({several})"
        case 4:
            return (
                f"{expression(chance, below)} {chance.choice(('LIKE', 'NOT LIKE'))} {chance.choice(PATTERNS)}"
            )
        case 5:
            return f"EXISTS {chance.choice(('subject', 'missing', 'n'))}"
        case _:
            return f"{expression(chance, below)} {chance.choice(BINARY)} {expression(chance, below)}"


def hostile(chance: random.Random) -> str:
    match chance.randrange(12):
        case 0:
            return chance.choice(JUNK) * chance.choice((1, 60, 70, 999, 1_001, 10_000, 200_000))
        case 1:
            return "".join(chance.choice((*JUNK, *ATOMS, *CALLS)) for _ in range(chance.randint(1, 40)))
        case 2:
            count = chance.choice((30, 64, 65, 500, 10_000))
            begin, end = chance.choice((("(", ")"), ("NOT ", ""), ("-", ""), ("ABS(", ")"), ("NOT (", ")")))
            return begin * count + chance.choice(ATOMS) + end * count
        case 3:
            joined = f" {chance.choice(BINARY)} ".join(
                [chance.choice(ATOMS)] * chance.choice((2, 100, 499, 501, 5_000))
            )
            return f"{joined} = 1"
        case _:
            made = expression(chance, chance.randint(1, 6))
            at = chance.randrange(len(made) + 1)
            return made if chance.random() < 0.7 else made[:at] + chance.choice(JUNK) + made[at + 1 :]


def dialect(chance: random.Random, depth: int = 0) -> Any:
    """An entry of `filters`; nested, and now and then of the wrong kind."""
    if depth < 3 and chance.random() < 0.15:
        kind = chance.choice(("any", "all", "not"))
        return {
            kind: dialect(chance, depth + 1)
            if kind == "not"
            else [dialect(chance, depth + 1) for _ in range(3)]
        }
    if chance.random() < 0.1:
        wrong: tuple[Any, ...] = (
            None,
            1,
            float("nan"),
            10**400,
            [],
            {},
            "x" * 100_000,
            "\ud800",
            ["a"] * 1_000,
            {"a": {"b": 1}},
        )
        return {
            chance.choice(("exact", "prefix", "suffix", "cesql", "any", "not", "sql")): chance.choice(wrong)
        }
    return {"cesql": hostile(chance)}


def judged(entry: Any) -> bool:
    """Parse, and evaluate what is a filter; whether it was one."""
    try:
        found = parse([entry])
    except FilterFaults:
        return False
    for event in EVENTS:
        assert isinstance(found.matches(event), bool)
        found.why_not(event)
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_no_filter_ends_in_an_exception(seed: int) -> None:
    chance = random.Random(seed)
    passed = [judged(dialect(chance)) for _ in range(EXPRESSIONS // len(SEEDS))]
    assert 50 < sum(passed) < len(passed) - 50  # enough of both


@pytest.mark.parametrize("seed", range(4))
def test_no_filter_takes_more_steps_than_its_size_allows(seed: int) -> None:
    chance = random.Random(f"steps {seed}")
    for _ in range(60):
        text = hostile(chance)
        found: list[Any] = []

        def read(text: str = text, found: list[Any] = found) -> None:
            with contextlib.suppress(FilterFaults):
                found.append(parse([{"cesql": text}]))

        assert steps(read) < STEPS_EACH * min(len(text), 5_000) + 5_000, text[:200]
        for one in found:
            for event in EVENTS:
                assert evaluation(one, event) < STEPS_AT_MOST, text[:200]


def evaluation(found: Any, event: Event) -> int:
    return steps(lambda: found.matches(event))
