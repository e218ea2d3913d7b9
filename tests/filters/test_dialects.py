"""Documents to filters: what each dialect means, and every fault in one go."""

from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import MAX_DEPTH, FilterFault, FilterFaults, parse
from mesh_gateway.filters.index import FilterIndex

EVENT = Event.new(
    type="order.created", source="/eu/shop", id="1", subject="order/7", hop=3, vip=True, tier="gold"
)


def matches(*filters: Any) -> bool:
    return parse(filters).matches(EVENT)


def faults(*filters: Any, **more: Any) -> list[FilterFault]:
    with pytest.raises(FilterFaults) as caught:
        parse(filters, **more)
    return list(caught.value.faults)


# ── meaning ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"exact": {"type": "order.created"}}, True),
        ({"exact": {"type": "Order.Created"}}, False),
        ({"exact": {"type": "order.created", "source": "/us/shop"}}, False),
        ({"exact": {"missing": "x"}}, False),
        ({"exact": {"hop": "3"}}, True),
        ({"exact": {"vip": "true"}}, True),
        ({"prefix": {"type": "order."}}, True),
        ({"prefix": {"type": "created"}}, False),
        ({"prefix": {"missing": "x"}}, False),
        ({"suffix": {"type": ".created"}}, True),
        ({"suffix": {"type": "order"}}, False),
        ({"suffix": {"missing": "x"}}, False),
        ({"all": [{"prefix": {"type": "order"}}, {"suffix": {"source": "shop"}}]}, True),
        ({"all": [{"prefix": {"type": "order"}}, {"suffix": {"source": "x"}}]}, False),
        ({"any": [{"exact": {"type": "x"}}, {"exact": {"subject": "order/7"}}]}, True),
        ({"any": [{"exact": {"type": "x"}}, {"exact": {"subject": "x"}}]}, False),
        ({"not": {"exact": {"missing": "x"}}}, True),
        ({"not": {"prefix": {"type": "order"}}}, False),
        ({"cesql": "type LIKE 'order.%' AND hop > 2"}, True),
        ({"cesql": "missing = 'x'"}, False),
        ({"not": {"cesql": "missing = 'x'"}}, True),
        ({"sql": "EXISTS vip"}, True),
        ({"cesql": "vip"}, True),
        ({"cesql": "tier"}, False),
    ],
)
def test_a_dialect_means_what_the_specification_says(filter: dict[str, Any], expected: bool) -> None:
    assert matches(filter) is expected


def test_entries_are_all_required() -> None:
    assert matches({"exact": {"type": "order.created"}}, {"prefix": {"source": "/eu"}})
    assert not matches({"exact": {"type": "order.created"}}, {"prefix": {"source": "/us"}})


def test_no_filter_takes_everything() -> None:
    assert matches()
    assert parse((), ()).describe() == ""


def test_filters_beat_filter_attributes_only_when_there_are_any() -> None:
    attributes = (("type", "x"),)
    assert parse([{"exact": {"type": "order.created"}}], attributes).matches(EVENT)
    assert not parse([], attributes).matches(EVENT)


def test_filter_attributes_must_all_be_equal() -> None:
    assert parse((), (("type", "order.created"), ("hop", "3"))).matches(EVENT)
    assert not parse((), (("type", "order.created"), ("hop", "4"))).matches(EVENT)


def test_an_empty_filter_attribute_asks_for_any_value_but_a_present_one() -> None:
    any_subject = parse((), (("subject", ""),))
    assert any_subject.matches(EVENT)
    assert not any_subject.matches(EVENT.with_attributes({"subject": None}))
    assert not any_subject.matches(EVENT.with_attributes({"subject": ""}))


@pytest.mark.parametrize(
    ("dialect", "value"), [("exact", "urn:s:1"), ("prefix", "urn:s"), ("suffix", ":1"), ("cesql", "")]
)
@pytest.mark.parametrize("carried", ["dataschema", "schemaurl"])
@pytest.mark.parametrize("asked", ["dataschema", "schemaurl"])
def test_dataschema_and_schemaurl_are_one_attribute(
    dialect: str, value: str, carried: str, asked: str
) -> None:
    event = EVENT.with_attributes({carried: "urn:s:1"})
    wanted: Any = (
        {asked: value} if value else f"{asked} = 'urn:s:1' AND EXISTS {asked} AND {asked} LIKE 'urn:%'"
    )
    one = parse([{dialect: wanted}])
    assert one.matches(event)
    assert not one.matches(EVENT)


def test_datamediatype_is_the_content_type_without_parameters() -> None:
    event = EVENT.with_attributes({"datacontenttype": "Application/JSON; charset=utf-8"})
    assert parse((), (("datamediatype", "application/json"),)).matches(event)
    assert parse((), (("datamediatype", ""),)).matches(event)
    assert not parse((), (("datamediatype", ""),)).matches(EVENT)


def test_an_extension_that_came_as_a_boolean_is_one_in_cesql_and_text_is_not() -> None:
    flag = parse([{"cesql": "vip"}])
    assert flag.matches(EVENT)
    over_headers = Event({**EVENT.attributes}, EVENT.data)
    assert not flag.matches(over_headers)
    assert parse([{"cesql": "vip = TRUE"}]).matches(over_headers)


def test_failed_evaluations_are_counted_and_match_nothing() -> None:
    one = parse([{"any": [{"cesql": "missing = 'x'"}, {"cesql": "tier"}]}])
    assert not one.matches(EVENT)
    assert one.errors == 2
    one.why_not(EVENT)
    assert one.errors == 2, "explaining is no evaluation of the data path"


# ── dialects of plugins ──────────────────────────────────────────────────────────────────────


def test_a_plugin_brings_a_dialect() -> None:
    custom = {"longer": lambda value: lambda attributes: len(attributes["subject"]) > value}
    assert parse([{"longer": 3}], custom=custom).matches(EVENT)
    assert not parse([{"longer": 30}], custom=custom).matches(EVENT)


@pytest.mark.parametrize("wrapped", [lambda odd: odd, lambda odd: {"not": odd}, lambda odd: {"any": [odd]}])
def test_a_plugin_that_raises_lets_the_event_pass_and_is_counted(wrapped: Any) -> None:
    """A plugin's bug must not settle an event that somebody may have wanted."""
    custom = {"odd": lambda value: lambda attributes: bool(attributes["absent"])}
    one = parse([wrapped({"odd": 1})], custom=custom)

    assert one.matches(EVENT)
    assert one.errors == 1
    assert one.why_not(EVENT) is None
    assert list(FilterIndex([one]).match(EVENT)) == [0]


@pytest.mark.parametrize("error", [ValueError("no number"), TypeError("no number"), KeyError("no number")])
def test_a_value_that_a_plugin_refuses_is_a_fault(error: Exception) -> None:
    def refuse(value: Any) -> Any:
        raise error

    (fault,) = faults({"odd": "x"}, custom={"odd": refuse})
    assert fault.path == ("filters", 0, "odd")
    assert "no number" in fault.message


# ── faults ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filter", "path", "says"),
    [
        ({}, (), "one dialect"),
        ("type = 'x'", (), "one dialect"),
        ({"exact": {"type": "a"}, "prefix": {"type": "b"}}, (), "exact, prefix"),
        ({"exakt": {"type": "a"}}, ("exakt",), "did you mean 'exact'"),
        ({"zzz": {"type": "a"}}, ("zzz",), "exact, prefix, suffix, all, any, not, cesql"),
        ({"exact": {}}, ("exact",), "at least one attribute"),
        ({"exact": "x"}, ("exact",), "at least one attribute"),
        ({"prefix": {"source": ""}}, ("prefix", "source"), "not empty"),
        ({"prefix": {"hop": 3}}, ("prefix", "hop"), 'write "3"'),
        ({"exact": {"vip": True}}, ("exact", "vip"), 'write "true"'),
        ({"exact": {"partitionKey": "x"}}, ("exact", "partitionKey"), "not an attribute name"),
        ({"exact": {"1st": "x"}}, ("exact", "1st"), "not an attribute name"),
        ({"exact": {"my_ext": "x"}}, ("exact", "my_ext"), "not an attribute name"),
        ({"exact": {"type\n": "x"}}, ("exact", "type\n"), "not an attribute name"),
        ({"all": []}, ("all",), "at least one filter"),
        ({"any": "x"}, ("any",), "at least one filter"),
        ({"not": {}}, ("not",), "one dialect"),
        ({"not": []}, ("not",), "one dialect"),
        ({"cesql": " "}, ("cesql",), "not empty"),
        ({"cesql": 1}, ("cesql",), "as text"),
        ({"cesql": "type = "}, ("cesql",), "at column 8"),
        ({"cesql": "LENGTH(type)"}, ("cesql",), "integer"),
        ({"cesql": "'x'"}, ("cesql",), "string"),
        ({"cesql": "LENGHT(type) = 3"}, ("cesql",), "did you mean LENGTH? at column 1"),
        ({"cesql": "LEFT(type) = 'x'"}, ("cesql",), "LEFT takes 2 argument(s), not 1"),
    ],
)
def test_a_fault_names_its_place_and_its_cause(filter: Any, path: tuple[str, ...], says: str) -> None:
    (fault,) = faults(filter)
    assert fault.path == ("filters", 0, *path)
    assert says in fault.message


def test_all_faults_are_found_at_once() -> None:
    found = faults(
        {"all": [{"exact": {"type": "a"}}, {"prefix": {"source": "", "Bad": "x"}}]},
        {"any": [{"not": {"cesql": "FOO() AND BAR(1)"}}, {"exact": {}}]},
    )
    assert [fault.path for fault in found] == [
        ("filters", 0, "all", 1, "prefix", "source"),
        ("filters", 0, "all", 1, "prefix", "Bad"),
        ("filters", 1, "any", 0, "not", "cesql"),
        ("filters", 1, "any", 0, "not", "cesql"),
        ("filters", 1, "any", 1, "exact"),
    ]


def test_the_error_itself_is_readable() -> None:
    with pytest.raises(
        FilterFaults, match=r"^filters\[0\]\.all\[1\]\.prefix\.source: the value must be text"
    ):
        parse([{"all": [{"exact": {"type": "a"}}, {"prefix": {"source": ""}}]}])


def test_a_bad_name_in_filter_attributes_has_its_path() -> None:
    with pytest.raises(FilterFaults) as caught:
        parse((), (("Type", "x"), ("source", "/s"), ("my-ext", "")))
    assert [fault.path for fault in caught.value.faults] == [
        ("filter", "attributes", "Type"),
        ("filter", "attributes", "my-ext"),
    ]


def test_nesting_has_a_limit() -> None:
    def nested(depth: int) -> dict[str, Any]:
        return {"exact": {"type": "order.created"}} if depth == 0 else {"not": nested(depth - 1)}

    assert matches(nested(MAX_DEPTH))
    (fault,) = faults(nested(MAX_DEPTH + 1))
    assert "nested deeper" in fault.message


# ── warnings ─────────────────────────────────────────────────────────────────────────────────


def test_a_surprising_expression_is_a_warning_with_its_place() -> None:
    one = parse([{"all": [{"cesql": "type = 'a' AND hop = 1 OR vip"}, {"exact": {"type": "x"}}]}])
    (warning,) = one.warnings
    assert warning.path == ("filters", 0, "all", 0, "cesql")
    assert "type = 'a' AND (hop = 1 OR vip)" in warning.message


def test_a_bare_extension_gets_a_hint() -> None:
    (warning,) = parse([{"cesql": "(vip)"}]).warnings
    assert "write vip = TRUE" in warning.message


def test_an_extension_that_an_operator_casts_gets_no_hint() -> None:
    assert parse([{"cesql": "vip AND type = 'a'"}]).warnings == ()
    assert parse([{"cesql": "NOT vip"}]).warnings == ()


# ── one line ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"exact": {"type": "order.created"}}, "type=order.created"),
        ({"prefix": {"type": "order."}}, "type^=order."),
        ({"suffix": {"type": ".created"}}, "type$=.created"),
        ({"exact": {"type": "a", "source": "/s"}}, "type=a & source=/s"),
        ({"any": [{"exact": {"type": "a"}}, {"not": {"exact": {"type": "b"}}}]}, "(type=a | !(type=b))"),
        ({"cesql": "type = 'a'\n  AND vip"}, "type = 'a' AND vip"),
    ],
)
def test_a_filter_describes_itself_in_one_line(filter: dict[str, Any], expected: str) -> None:
    assert parse([filter]).describe() == expected


def test_a_filter_attribute_describes_itself() -> None:
    assert parse((), (("type", "a"), ("subject", ""))).describe() == "type=a & subject=*"


def test_a_long_expression_is_described_shortly() -> None:
    assert len(parse([{"cesql": "type = '" + "x" * 500 + "'"}]).describe()) < 100
