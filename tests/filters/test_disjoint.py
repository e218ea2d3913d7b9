"""When two filters certainly share no event."""

from typing import Any

import pytest

from mesh_gateway.filters.dialects import parse
from mesh_gateway.filters.disjoint import disjoint


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
        ({"any": [{"exact": {"type": "a"}}, {"exact": {"type": "b"}}]}, {"exact": {"type": "c"}}, False),
        ({"not": {"exact": {"type": "a"}}}, {"exact": {"type": "a"}}, False),
        ({"cesql": "type = 'a' AND EXISTS subject"}, {"exact": {"type": "b"}}, True),
        ({"cesql": "type = 'a' OR EXISTS subject"}, {"exact": {"type": "b"}}, False),
        ({"cesql": "type LIKE 'order.%'"}, {"cesql": "type LIKE 'pay.%'"}, True),
        ({"cesql": "type NOT LIKE 'order.%'"}, {"prefix": {"type": "pay."}}, False),
        ({"cesql": "type LIKE '%.x'"}, {"exact": {"type": "order.y"}}, True),
    ],
)
def test_two_filters_are_disjoint_only_where_it_is_certain(one: Any, other: Any, expected: bool) -> None:
    assert disjoint(parse([one]), parse([other])) is expected
    assert disjoint(parse([other]), parse([one])) is expected


def test_the_filter_that_takes_everything_is_disjoint_from_none() -> None:
    assert not disjoint(parse(()), parse([{"exact": {"type": "a"}}]))


def test_an_empty_filter_attribute_is_disjoint_from_none() -> None:
    assert not disjoint(parse((), (("type", ""),)), parse([{"exact": {"type": "a"}}]))
