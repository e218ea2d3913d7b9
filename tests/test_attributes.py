"""Rules of attributes: every row of the table is one rule, and a broken one is named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mesh_gateway import attributes
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

VALID = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def test_a_valid_event_has_no_faults():
    assert attributes.faults(VALID) == []


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_a_missing_or_empty_required_attribute_is_named(name):
    missing = {key: value for key, value in VALID.items() if key != name}

    assert attributes.faults(missing) == [f"{name}: missing"]
    assert attributes.faults({**VALID, name: ""}) == [f"{name}: empty"]


@pytest.mark.parametrize("name", ["subject", "time", "dataschema", "schemaurl", "datacontenttype"])
def test_an_empty_optional_attribute_is_named_also_where_its_name_is_known(name):
    attributes.faults({**VALID, "subject": "x", "schemaurl": "/x", "datacontenttype": "a/b"})

    assert attributes.faults({**VALID, name: ""}) == [f"{name}: empty"]


def test_every_failing_attribute_is_named_at_once():
    found = attributes.faults({"specversion": "2.0", "id": "", "source": "a b", "time": "yesterday"})

    assert {fault.partition(":")[0] for fault in found} == {"specversion", "id", "source", "type", "time"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
        ("source", "1-555-123-4567"),
        ("source", "#fragment"),
        ("source", "/a%20b?c=d"),
        ("dataschema", "https://example.com/schema"),
        ("subject", "mynewfile.jpg"),
        ("subject", "žluťoučký 🐎"),
        ("time", "2018-04-05T17:31:00Z"),
        ("time", "2018-04-05T17:31:00.123456789012z"),
        ("time", "2016-12-31T23:59:60Z"),
        ("time", "0000-01-01T00:00:00+23:59"),
        ("time", "2024-02-29t00:00:00-00:00"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("datacontenttype", 'multipart/form-data; boundary="a b"'),
        ("anextensionnamelongerthantwenty", "x"),
        ("1digitfirst", "x"),
        ("anyextension", ""),
    ],
)
def test_what_the_specification_allows_is_allowed(name, value):
    assert attributes.faults({**VALID, name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "a b"),
        ("source", "/a%2"),
        ("source", "/ü"),
        ("source", "/{x}"),
        ("dataschema", "relative/path"),
        ("dataschema", ""),
        ("subject", ""),
        ("time", "2018-04-05"),
        ("time", "2018-04-05 17:31:00Z"),
        ("time", "2018-04-05T17:31Z"),
        ("time", "2018-04-05T17:31:00"),
        ("time", "2018-04-05T24:00:00Z"),
        ("time", "2018-02-30T17:31:00Z"),
        ("time", "2023-02-29T17:31:00Z"),
        ("time", "2018-W14-4T17:31:00Z"),
        ("time", "20180405T173100Z"),
        ("time", "2018-04-05T17:31:00,5Z"),
        ("time", "2018-04-05T17:31:00+25:00"),
        ("time", ""),
        ("datacontenttype", "xyz"),
        ("myext", "a\nb"),
        ("myext", "a\x00b"),
        ("myext", "a\x7fb"),
        ("myext", "a\x85b"),
        ("myext", "a\ufffeb"),
        ("myext", "\ud800"),
        ("myext", "\U0001ffff"),
        ("MyExt", "x"),
        ("my_ext", "x"),
        ("my-ext", "x"),
        ("data", "x"),
        ("", "x"),
    ],
)
def test_what_the_specification_forbids_is_named(name, value):
    (fault,) = attributes.faults({**VALID, name: value})

    assert fault.startswith((f"{name}:", '"'))


def test_values_of_every_type_become_canonical_text():
    texts, kinds, faults = attributes.canonical(
        {"a": True, "b": -5, "c": b"\x00\xff", "d": datetime(2026, 1, 2, tzinfo=UTC), "e": "x"}
    )

    assert texts == {"a": "true", "b": "-5", "c": "AP8=", "d": "2026-01-02T00:00:00Z", "e": "x"}
    assert kinds == {"a": "boolean", "b": "integer"}
    assert faults == []


@pytest.mark.parametrize("value", [1.5, 2**31, -(2**31) - 1, {}, [], None, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_values_that_are_no_attribute_are_named(value):
    _, _, faults = attributes.canonical({"x": value})

    assert faults[0].startswith("x: ")


def test_the_public_constructor_validates():
    with pytest.raises(InvalidEvent, match="source"):
        Event.new(type="t", source="a b")


def test_the_public_constructor_makes_up_nothing_but_an_id():
    event = Event.new(type="t", source="/s")

    assert set(event.attributes) == {"specversion", "id", "source", "type"}


def test_an_event_survives_the_way_through_the_sdk():
    event = Event.new(
        type="t", source="/s", id="1", time="2026-01-02T03:04:05Z", flag=True, number=7, data=b"x"
    )

    again = Event.from_sdk(event.to_sdk())

    assert again.attributes == event.attributes
    assert again.kinds == event.kinds
    assert again.data == event.data


def test_with_attributes_sets_and_removes():
    event = Event.new(type="t", source="/s", id="1", flag=True, gone="x")

    changed = event.with_attributes({"flag": "text", "gone": None, "more": "y"})

    assert changed.attributes["flag"] == "text"
    assert changed.kinds is None
    assert "gone" not in changed.attributes
    assert event.attributes["gone"] == "x"
