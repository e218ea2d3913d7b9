"""Why an event did not pass: the very clause, by its place."""

from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import parse

EVENT = Event.new(type="order.created", source="/us/web", id="1", tier="gold", vip=True)


def why(*filters: Any) -> str | None:
    return parse(filters).why_not(EVENT)


def test_a_filter_that_matches_gives_no_reason() -> None:
    assert why({"exact": {"type": "order.created"}}) is None
    assert parse(()).why_not(EVENT) is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (
            [{"all": [{"exact": {"type": "order.created"}}, {"prefix": {"source": "/eu/"}}]}],
            'filters[0].all[1]: prefix source="/eu/" but the event has "/us/web"',
        ),
        (
            [{"exact": {"type": "order.created"}}, {"suffix": {"subject": "x"}}],
            'filters[1]: suffix subject="x" but the event has no "subject"',
        ),
        (
            [{"any": [{"exact": {"type": "a"}}, {"exact": {"subject": "b"}}]}],
            (
                'filters[0].any: none of 2 holds (filters[0].any[0]: exact type="a" but the event has "order.created"; '
                'filters[0].any[1]: exact subject="b" but the event has no "subject")'
            ),
        ),
        (
            [{"not": {"any": [{"exact": {"type": "a"}}, {"exact": {"tier": "gold"}}]}}],
            'filters[0]: not, but filters[0].not.any[1]: exact tier="gold" holds',
        ),
        (
            [{"not": {"all": [{"exact": {"vip": "true"}}, {"exact": {"tier": "gold"}}]}}],
            (
                'filters[0]: not, but filters[0].not.all[0]: exact vip="true" holds and '
                'filters[0].not.all[1]: exact tier="gold" holds'
            ),
        ),
        (
            [{"not": {"not": {"exact": {"type": "a"}}}}],
            'filters[0]: not, but filters[0].not.not: exact type="a" but the event has "order.created"',
        ),
        (
            [{"not": {"cesql": "tier = 'gold'"}}],
            "filters[0]: not, but filters[0].not: cesql tier = 'gold' holds",
        ),
        ([{"cesql": "type = 'a'"}], "filters[0]: cesql type = 'a' is false for type=\"order.created\""),
        ([{"cesql": "EXISTS subject"}], "filters[0]: cesql EXISTS subject is false"),
        (
            [{"cesql": "vip AND tier = 'gold' AND (type = 'a' OR hop = 2)"}],
            (
                "filters[0]: cesql vip AND tier = 'gold' AND (type = 'a' OR hop = 2): type = 'a' OR hop = 2 "
                'cannot be evaluated: the event has no "hop"'
            ),
        ),
        (
            [{"cesql": "vip AND (tier = 'gold' AND type LIKE 'a%') AND EXISTS x"}],
            (
                "filters[0]: cesql vip AND (tier = 'gold' AND type LIKE 'a%') AND EXISTS x: type LIKE 'a%' "
                'is false for type="order.created"'
            ),
        ),
        ([{"cesql": "tier"}], "filters[0]: cesql tier gives 'gold', which is no Boolean"),
        (
            [{"cesql": "INT(tier) = 1"}],
            "filters[0]: cesql INT(tier) = 1 cannot be evaluated: 'gold' is no Integer",
        ),
        ([{"cesql": "1 / 0 = 1"}], "filters[0]: cesql 1 / 0 = 1 cannot be evaluated: division by zero"),
    ],
)
def test_the_clause_that_refused_is_named(filters: list[Any], expected: str) -> None:
    assert why(*filters) == expected


def test_a_part_of_a_chain_is_cast_as_the_chain_casts_it() -> None:
    event = EVENT.with_attributes({"flag": "true"})
    reason = parse([{"cesql": "flag AND type = 'a'"}]).why_not(event)
    assert reason is not None
    assert "type = 'a' is false" in reason


def test_a_filter_attribute_is_named() -> None:
    assert (
        parse((), (("vip", "true"), ("type", "a"))).why_not(EVENT)
        == 'filter.attributes.type: exact type="a" but the event has "order.created"'
    )
    assert (
        parse((), (("subject", ""),)).why_not(EVENT)
        == 'filter.attributes.subject: any subject but the event has no "subject"'
    )


def test_a_dialect_of_a_plugin_is_named() -> None:
    one = parse([{"odd": 1}], custom={"odd": lambda value: lambda attributes: False})
    assert one.why_not(EVENT) == "filters[0]: odd does not match"
    inverted = parse([{"not": {"even": 1}}], custom={"even": lambda value: lambda attributes: True})
    assert inverted.why_not(EVENT) == "filters[0]: not, but filters[0].not: even matches"


def test_a_long_or_odd_value_of_a_producer_is_shown_in_short_and_on_one_line() -> None:
    event = EVENT.with_attributes({"tier": 'a"b\n' + "x" * 100_000})
    reason = parse([{"exact": {"tier": "gold"}}]).why_not(event)
    assert reason is not None
    assert len(reason) < 200
    assert r'the event has "a\"b\nxxx' in reason
