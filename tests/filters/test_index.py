"""Many filters at once: the same answer as asking each, with less asking."""

from collections.abc import Sequence
from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.filters import index as index_module
from mesh_gateway.filters.dialects import Filter, parse
from mesh_gateway.filters.index import FilterIndex


def event(type: str = "order.created", source: str = "/eu", **more: str) -> Event:
    return Event.new(type=type, source=source, id="1").with_attributes(more)


class Asked:
    """A dialect of a plugin that counts how often it is asked; it is the first to be asked in its filters."""

    def __init__(self) -> None:
        self.count = 0

    def filter(self, *filters: Any) -> Filter:
        return parse([{"asked": self}, *filters], custom={"asked": lambda self: self.ask})

    def ask(self, attributes: Any) -> bool:
        self.count += 1
        return True


def test_indexes_come_in_ascending_order() -> None:
    filters = [
        parse([{"cesql": "EXISTS subject"}]),
        parse([{"exact": {"type": "order.created"}}]),
        parse([{"suffix": {"subject": "7"}}]),
        parse([{"prefix": {"source": "/eu"}}]),
        parse([{"exact": {"subject": "order/7"}}]),
        parse(()),
    ]
    assert list(FilterIndex(filters).match(event(subject="order/7"))) == [0, 1, 2, 3, 4, 5]
    assert list(FilterIndex(filters).match(event())) == [1, 3, 5]


def test_without_filters_nothing_matches() -> None:
    assert list(FilterIndex([]).match(event())) == []


def test_an_answer_given_before_is_given_again() -> None:
    index = FilterIndex(
        [parse([{"exact": {"type": "order.created"}}]), parse([{"prefix": {"subject": "a"}}])]
    )
    assert list(index.match(event(subject="a"))) == [0, 1]
    assert list(index.match(event(subject="b"))) == [0]
    assert list(index.match(event(subject="a"))) == [0, 1]


def test_callers_cannot_change_what_is_remembered() -> None:
    index = FilterIndex([parse([{"exact": {"type": "order.created"}}])])
    found = index.match(event())
    assert isinstance(found, tuple)
    assert found == index.match(event())


@pytest.mark.parametrize(
    "demand",
    [
        {"exact": {"subject": "x"}},
        {"prefix": {"subject": "x"}},
        {"suffix": {"subject": "x"}},
        {"all": [{"all": [{"exact": {"subject": "x"}}]}, {"cesql": "EXISTS subject"}]},
        {"any": [{"exact": {"subject": "x"}}]},
        {"cesql": "EXISTS subject AND (subject = 'x' AND LENGTH(subject) = 1)"},
        {"cesql": "subject LIKE 'x%'"},
        {"cesql": "subject LIKE '%x'"},
        {"cesql": "subject LIKE 'x'"},
        {"cesql": "subject LIKE 'x%_%y'"},
    ],
)
def test_a_filter_is_asked_only_where_its_demand_is_met(demand: dict[str, Any]) -> None:
    asked = Asked()
    index = FilterIndex([asked.filter(demand)])
    for other in ({}, {"subject": "y"}, {"subject": "yxy"}):
        assert list(index.match(event(**other))) == []
    assert asked.count == 0


def test_a_rare_demand_is_preferred_to_one_that_all_filters_share() -> None:
    """A hundred filters of one long source, each with its own type: an event asks one of them."""
    asked = Asked()
    source = {"exact": {"source": "/a/long/source/that/everybody/names"}}
    filters = [asked.filter(source, {"prefix": {"type": f"t{i:03}."}}) for i in range(100)]
    found = FilterIndex(filters).match(event(type="t042.x", source=source["exact"]["source"]))
    assert list(found) == [42]
    assert asked.count == 1


def test_filters_of_type_and_source_are_answered_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    one = parse([{"any": [{"suffix": {"type": "created"}}, {"not": {"exact": {"source": "/eu"}}}]}])
    asked = 0
    matches = one.matches

    def counted(event: Event) -> bool:
        nonlocal asked
        asked += 1
        return matches(event)

    one.matches = counted
    index = FilterIndex([one])
    for _ in range(5):
        assert list(index.match(event())) == [0]
    assert asked == 1


def test_the_memory_is_bounded_in_answers_and_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MEMORY", 10)
    index = FilterIndex([parse([{"prefix": {"type": "t"}}])])
    for i in range(35):
        assert list(index.match(event(type=f"t{i}"))) == [0]
        assert len(index._memory) <= 10
    index = FilterIndex([parse([{"prefix": {"type": "t"}}])])
    assert list(index.match(event(type="t" * 100_000))) == [0]
    assert len(index._memory) == 0


def test_equal_answers_share_one_tuple() -> None:
    index = FilterIndex([parse([{"prefix": {"type": "t"}}])] * 3)
    assert index.match(event(type="t1")) is index.match(event(type="t2"))


@pytest.mark.parametrize("name", ["dataschema", "schemaurl", "datamediatype"])
@pytest.mark.parametrize("dialect", ["exact", "prefix", "suffix"])
def test_attributes_with_two_names_are_found(name: str, dialect: str) -> None:
    value = "application/json" if name == "datamediatype" else "urn:x"
    index = FilterIndex([parse([{dialect: {name: value}}])])
    carried: Sequence[dict[str, str]] = (
        [{"datacontenttype": "application/json; a=b"}]
        if name == "datamediatype"
        else [{"dataschema": "urn:x"}, {"schemaurl": "urn:x"}]
    )
    for attributes in carried:
        assert list(index.match(event(**attributes))) == [0]


def test_a_typed_extension_is_found_by_its_text() -> None:
    index = FilterIndex(
        [parse([{"exact": {"hop": "3"}}]), parse([{"cesql": "hop = '3'"}]), parse([{"cesql": "hop = 3"}])]
    )
    assert list(index.match(Event.new(type="t", source="/s", hop=3))) == [0, 1, 2]
