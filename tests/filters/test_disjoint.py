"""When two filters certainly share no event."""

from typing import Any

import pytest

from mesh_gateway.filters.dialects import parse
from mesh_gateway.filters.disjoint import disjoint
from mesh_gateway.filters.normal import MOST_CLAUSES, normal_form


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"exact": {"type": "a"}}, {"exact": {"type": "b"}}, True),
        ({"exact": {"type": "a"}}, {"exact": {"type": "a"}}, False),
        ({"exact": {"type": "a"}}, {"exact": {"source": "b"}}, False),
        ({"exact": {"type": "order.x"}}, {"prefix": {"type": "pay."}}, True),
        ({"exact": {"type": "order.x"}}, {"prefix": {"type": "order."}}, False),
        ({"exact": {"type": "order.x"}}, {"suffix": {"type": ".y"}}, True),
        ({"exact": {"type": "order.x"}}, {"suffix": {"type": ".x"}}, False),
        ({"prefix": {"type": "order."}}, {"prefix": {"type": "pay."}}, True),
        ({"prefix": {"type": "order."}}, {"prefix": {"type": "order.x"}}, False),
        ({"suffix": {"type": ".x"}}, {"suffix": {"type": ".y"}}, True),
        ({"suffix": {"type": ".x"}}, {"suffix": {"type": "r.x"}}, False),
        ({"prefix": {"type": "a"}}, {"suffix": {"type": "b"}}, False),
        ({"all": [{"exact": {"source": "/s"}}, {"exact": {"type": "a"}}]}, {"exact": {"type": "b"}}, True),
        ({"any": [{"exact": {"type": "a"}}, {"exact": {"type": "b"}}]}, {"exact": {"type": "c"}}, True),
        ({"any": [{"exact": {"type": "a"}}, {"exact": {"type": "b"}}]}, {"exact": {"type": "b"}}, False),
        ({"not": {"exact": {"type": "a"}}}, {"exact": {"type": "a"}}, True),
        ({"not": {"exact": {"type": "a"}}}, {"prefix": {"type": "a"}}, False),
        ({"not": {"prefix": {"type": "a"}}}, {"prefix": {"type": "ab"}}, True),
        ({"not": {"prefix": {"type": "ab"}}}, {"prefix": {"type": "a"}}, False),
        ({"not": {"suffix": {"type": "b"}}}, {"suffix": {"type": "ab"}}, True),
        (
            {"not": {"any": [{"exact": {"type": "a"}}, {"prefix": {"type": "b"}}]}},
            {"exact": {"type": "bc"}},
            True,
        ),
        (
            {"not": {"all": [{"exact": {"type": "a"}}, {"exact": {"source": "b"}}]}},
            {"exact": {"type": "a"}},
            False,
        ),
        ({"cesql": "type = 'a' AND EXISTS subject"}, {"exact": {"type": "b"}}, True),
        ({"cesql": "type = 'a' OR EXISTS subject"}, {"exact": {"type": "b"}}, False),
        ({"cesql": "type LIKE 'order.%'"}, {"cesql": "type LIKE 'pay.%'"}, True),
        ({"cesql": "type NOT LIKE 'order.%'"}, {"prefix": {"type": "pay."}}, False),
        ({"cesql": "type LIKE '%.x'"}, {"exact": {"type": "order.y"}}, True),
        ({"cesql": "type IN ('a', 'b')"}, {"cesql": "type NOT IN ('a', 'b', 'c')"}, True),
        ({"cesql": "type IN ('a', 'b')"}, {"cesql": "type <> 'a'"}, False),
        ({"cesql": "EXISTS subject"}, {"cesql": "NOT EXISTS subject"}, True),
        ({"cesql": "EXISTS subject"}, {"not": {"prefix": {"subject": "a"}}}, False),
        ({"cesql": "NOT EXISTS subject"}, {"not": {"prefix": {"subject": "a"}}}, False),
        ({"cesql": "NOT EXISTS type"}, {"prefix": {"source": "/"}}, True),
        ({"cesql": "type LIKE 'ab%ba'"}, {"exact": {"type": "aba"}}, True),
        ({"cesql": "type NOT LIKE 'ab%ba'"}, {"exact": {"type": "aba"}}, False),
        ({"cesql": "type LIKE 'a_b'"}, {"exact": {"type": "b"}}, True),
        ({"cesql": "type LIKE 'a_b'"}, {"exact": {"type": "axxb"}}, False),  # not known so exactly
        ({"cesql": "NOT (subject = 'a')"}, {"not": {"prefix": {"subject": "b"}}}, False),
        ({"cesql": "subject != 'a'"}, {"cesql": "NOT EXISTS subject"}, True),
        ({"cesql": "subject = 'a' OR type = 'b'"}, {"cesql": "NOT EXISTS subject"}, True),  # an error ends it
        ({"cesql": "type = 'b' OR subject = 'a'"}, {"cesql": "NOT EXISTS subject"}, False),
        ({"cesql": "LENGTH(type) = 1"}, {"exact": {"type": "ab"}}, False),  # nobody looks into functions
        ({"cesql": "TRUE"}, {"not": {"cesql": "TRUE"}}, True),
        ({"cesql": "hop IN ('03')"}, {"exact": {"hop": "3"}}, False),  # it may have come as the number 3
        ({"cesql": "hop = '03'"}, {"exact": {"hop": "3"}}, True),
        ({"cesql": "subject IN ('03')"}, {"exact": {"subject": "3"}}, True),
    ],
)
def test_two_filters_are_disjoint_only_where_it_is_certain(one: Any, other: Any, expected: bool) -> None:
    assert disjoint(parse([one]), parse([other])) is expected
    assert disjoint(parse([other]), parse([one])) is expected


def test_the_filter_that_takes_everything_is_disjoint_from_none() -> None:
    assert not disjoint(parse(()), parse([{"exact": {"type": "a"}}]))


def test_an_empty_filter_attribute_is_disjoint_from_none() -> None:
    assert not disjoint(parse((), (("type", ""),)), parse([{"exact": {"type": "a"}}]))


def test_three_filters_may_agree_two_by_two_and_never_all_together() -> None:
    one, two, three = (
        parse([{"any": [{"exact": {"type": a}}, {"exact": {"type": b}}]}]) for a, b in ("ab", "bc", "ca")
    )

    assert not disjoint(one, two)
    assert not disjoint(two, three)
    assert not disjoint(three, one)
    assert disjoint(one, two, three)


def test_with_a_dialect_of_a_plugin_anything_may_pass() -> None:
    plugin = {"regex": lambda value: lambda attributes: False}
    one = parse([{"exact": {"type": "a"}}, {"regex": "x"}], custom=plugin)

    assert not disjoint(one, parse([{"exact": {"type": "b"}}]))


def test_hundreds_of_values_are_one_clause() -> None:
    some = normal_form(parse([{"any": [{"exact": {"type": f"t{i}", "source": "s"}} for i in range(900)]}]))
    other = normal_form(parse([{"cesql": " OR ".join(f"type = 'u{i}'" for i in range(60))}]))

    assert len(some.clauses) == len(other.clauses) == 1
    assert not some.meet(other)


@pytest.mark.parametrize("entry", ["any", "not"])
def test_what_is_too_much_to_keep_apart_may_pass(entry: str) -> None:
    many = [{"exact": {f"a{i}": "x", f"b{i}": "y"}} for i in range(600)]
    pairs = [{"any": [{"exact": {f"a{i}": "x"}}, {"exact": {f"b{i}": "x"}}]} for i in range(40)]

    wide = parse([{"any": many}] if entry == "any" else [{"not": {"any": [{"all": many}]}}])

    assert normal_form(wide)
    assert len(normal_form(parse(pairs)).clauses) <= MOST_CLAUSES


def test_deep_expressions_take_no_longer_than_their_length() -> None:
    deep = "type = 'a'"
    for i in range(15):
        deep = f"NOT ({'x' if i % 2 else 'y'} = '{i}' OR ({deep} AND EXISTS z))"

    assert not disjoint(parse([{"not": {"cesql": deep}}]), parse(()))
