"""The event itself: made once, compared by what it says, and exchanged with the CloudEvents SDK."""

from __future__ import annotations

import json as stdlib_json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import http

TIME = "2026-01-02T03:04:05Z"


def sdk(data: Any = None, **attributes: Any) -> CloudEvent:
    given = {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "t",
        "time": datetime.fromisoformat(TIME),
    }
    return CloudEvent({**given, **attributes}, data)


def test_the_constructor_for_everybody_names_every_fault():
    with pytest.raises(InvalidEvent) as caught:
        Event.new(type="", source="a b", id="", time="now", subject=5, flag=1.5)

    named = [fault.partition(":")[0] for fault in caught.value.faults]
    assert sorted(named) == ["flag", "id", "source", "subject", "time", "type"]


def test_a_made_up_id_is_another_each_time():
    assert Event.new(type="t", source="/s").id != Event.new(type="t", source="/s").id


@pytest.mark.parametrize("name", ["id", "subject", "datacontenttype", "dataschema", "time"])
@pytest.mark.parametrize("value", [5, True, b"x", 1.5])
def test_an_attribute_of_the_specification_is_a_string_and_nothing_else(name, value):
    with pytest.raises(InvalidEvent) as caught:
        Event.new(**{"type": "t", "source": "/s", name: value})

    assert caught.value.faults == (f"{name}: must be a string",)


def test_a_moment_becomes_text_and_needs_a_time_zone():
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=-3)))

    assert (
        Event.new(type="t", source="/s", time=moment).attributes["time"] == "2026-01-02T03:04:05.000006-03:00"
    )
    with pytest.raises(InvalidEvent, match="time: a datetime needs a time zone"):
        Event.new(type="t", source="/s", time=datetime(2026, 1, 2))  # noqa: DTZ001


def test_events_are_equal_by_attributes_types_and_data_and_not_by_what_travels_beside():
    event = Event({"id": "1", "n": "7"}, b"x", {"n": "integer"})

    assert event == Event({"n": "7", "id": "1"}, b"x", {"n": "integer"}, {"traceparent": "00-1"})
    assert event != Event({"id": "1", "n": "7"}, b"x")
    assert event != Event({"id": "1", "n": "7"}, b"y", {"n": "integer"})
    assert Event({"id": "1"}, None) != Event({"id": "1"}, b"")
    assert Event({"id": "1"}, kinds={}) == Event({"id": "1"})


def test_an_event_is_never_a_key():
    with pytest.raises(TypeError, match="unhashable"):
        {Event.new(type="t", source="/s")}


def test_an_event_says_what_it_is():
    assert repr(Event.new(type="t", source="/s", id="1", data=b"abc")) == "<Event t 1 from /s, 3 bytes>"
    assert repr(Event.new(type="t", source="/s", id="1")) == "<Event t 1 from /s, no data>"


def test_a_changed_copy_keeps_data_other_types_and_what_travels_beside():
    event = Event(
        {"id": "1", "n": "7", "m": "8"}, b"x", {"n": "integer", "m": "integer"}, {"traceparent": "00-1"}
    )

    changed = event.with_attributes({"n": "9"})

    assert (changed.attributes, changed.kinds) == ({"id": "1", "n": "9", "m": "8"}, {"m": "integer"})
    assert (changed.data, changed.headers) == (b"x", {"traceparent": "00-1"})


@pytest.mark.parametrize("version", ["1.0", "0.3"])
def test_an_event_of_either_version_goes_through_the_sdk(version):
    event = Event.new(type="t", source="/s", specversion=version, time=TIME, data=b"\x00\xff", ext="x")

    assert Event.from_sdk(event.to_sdk()) == event


@pytest.mark.parametrize("time", ["0000-01-01T00:00:00Z", "2016-12-31T23:59:60Z"])
def test_a_time_that_python_cannot_hold_is_an_error_with_its_cause(time):
    with pytest.raises(InvalidEvent, match=r"time: .* is no datetime of Python's"):
        Event.new(type="t", source="/s", time=time).to_sdk()


def test_the_sdk_gets_its_types_back():
    attributes = Event.new(
        type="t", source="/s", time="2026-01-02t03:04:05.123456789z", n=7, flag=False
    ).to_sdk()

    assert attributes.get_extension("n") == 7
    assert attributes.get_extension("flag") is False
    assert attributes.get_time() == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "content_type", "found"),
    [
        (None, None, None),
        (b"raw", None, b"raw"),
        (bytearray(b"raw"), "application/json", b"raw"),
        ({"a": "ž"}, "application/json", '{"a":"ž"}'.encode()),
        ([1, True, None], "application/json", b"[1,true,null]"),
        ("text", "application/json", b'"text"'),
        ("text", "text/plain", b"text"),
        ({"a": 1}, "text/plain", b'{"a":1}'),
    ],
)
def test_data_of_the_sdk_become_the_bytes_that_their_type_means(data, content_type, found):
    attributes = {} if content_type is None else {"datacontenttype": content_type}

    assert Event.from_sdk(sdk(data, **attributes)).data == found


@pytest.mark.parametrize(
    "data", [{"a": datetime(2026, 1, 1, tzinfo=UTC)}, [float("nan")], {"a": {1}}, "\ud800"]
)
def test_data_that_are_no_json_are_an_error(data):
    with pytest.raises(InvalidEvent, match="data: cannot be written as JSON"):
        Event.from_sdk(
            sdk(data, datacontenttype="application/json" if not isinstance(data, str) else "text/plain")
        )


def test_values_without_a_content_type_are_json_and_bytes_are_anything():
    assert Event.from_sdk(sdk({"a": 1})).attributes["datacontenttype"] == "application/json"
    assert "datacontenttype" not in Event.from_sdk(sdk(b"a")).attributes


@pytest.mark.parametrize("data", [{"a": [1, "ž"]}, "plain words"])
def test_taking_an_event_from_the_sdk_is_reading_what_it_sends_structured(data):
    event = sdk(data)
    message = to_structured_event(event)
    headers = [(name.lower().encode(), value.encode()) for name, value in message.headers.items()]

    (received,) = http.decode(headers, message.body, http.Limits())

    ours = Event.from_sdk(event)
    assert received.attributes == ours.attributes
    assert stdlib_json.loads(received.data or b"") == stdlib_json.loads(ours.data or b"") == data


def test_an_event_taken_from_the_sdk_has_the_attributes_that_it_sends_binary():
    event = sdk(b"x", datacontenttype="text/plain", subject="a b", ext="y")
    message = to_binary_event(event)
    headers = [(name.lower().encode(), value.encode()) for name, value in message.headers.items()]

    assert http.decode(headers, message.body, http.Limits()) == [Event.from_sdk(event)]
