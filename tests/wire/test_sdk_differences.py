"""Where the CloudEvents SDK for Python differs from us, row by row, with both sides shown.

Each row is a reason not to have it on the data path (docs/decisions/0002-own-codec.md). A row that is mended
upstream fails here: take it out of both lists.
"""

from __future__ import annotations

from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_http_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import http, json

LIMITS = http.Limits()
TIME = "2026-01-02T03:04:05Z"
CE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-time": TIME}
HEAD = f'"specversion":"1.0","id":"1","source":"/s","type":"t","time":"{TIME}"'
STRUCTURED = {"content-type": "application/cloudevents+json"}


def theirs(headers: dict[str, str], body: bytes = b"") -> Any:
    return from_binary_event(HTTPMessage(headers, body))


def ours(headers: dict[str, str], body: bytes = b"") -> Event:
    return http.decode([(n.encode(), v.encode()) for n, v in headers.items()], body, LIMITS)[0]


def without(name: str) -> dict[str, str]:
    return {header: value for header, value in CE.items() if header != name}


@pytest.mark.parametrize("name", ["id", "specversion"])
def test_it_makes_up_required_attributes_that_are_missing(name):
    assert theirs(without(f"ce-{name}")).get_attributes()[name]

    with pytest.raises(InvalidEvent, match=f"{name}: missing"):
        ours(without(f"ce-{name}"))


def test_it_makes_up_a_time():
    assert theirs(without("ce-time")).get_time() is not None
    assert "time" not in ours(without("ce-time")).attributes


@pytest.mark.parametrize(
    "time",
    [
        "2026-W14-4T03:04:05Z",
        "20260102T030405Z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:04Z",
    ],
)
def test_it_accepts_times_that_are_not_rfc_3339(time):
    assert theirs({**CE, "ce-time": time}).get_time() is not None

    with pytest.raises(InvalidEvent, match="time"):
        ours({**CE, "ce-time": time})


def test_it_cuts_a_time_to_microseconds():
    precise = "2026-01-02T03:04:05.123456789Z"

    assert (
        to_binary_event(theirs({**CE, "ce-time": precise})).headers["ce-time"]
        == "2026-01-02T03:04:05.123456Z"
    )
    assert ours({**CE, "ce-time": precise}).attributes["time"] == precise


@pytest.mark.parametrize(
    ("name", "value"),
    [("source", "a b"), ("dataschema", "relative"), ("datacontenttype", "xyz"), ("x", "a\x00b")],
)
def test_it_accepts_values_that_break_a_rule(name, value):
    given = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", name: value}
    event = CloudEvent(given)

    with pytest.raises(InvalidEvent, match=name):
        Event.from_sdk(event)


def test_it_refuses_null_for_what_is_unset():
    body = f'{{{HEAD},"subject":null}}'.encode()

    with pytest.raises(Exception, match="subject"):
        from_structured_event(HTTPMessage(STRUCTURED, body))
    assert "subject" not in json.decode(body).attributes


@pytest.mark.parametrize(("raw", "value"), [('"quoted text"', "quoted text"), (r'"a\"b"', 'a"b')])
def test_it_does_not_undo_quoting(raw, value):
    assert theirs({**CE, "ce-subject": raw}).get_subject() == raw
    assert ours({**CE, "ce-subject": raw}).attributes["subject"] == value


def test_it_replaces_what_is_not_utf_8():
    assert theirs({**CE, "ce-subject": "%C0%A0"}).get_subject() == "\ufffd\ufffd"

    with pytest.raises(InvalidEvent, match="subject"):
        ours({**CE, "ce-subject": "%C0%A0"})


def test_it_writes_booleans_and_bytes_as_python_shows_them():
    event = CloudEvent(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "flag": True, "raw": b"\x00"}
    )

    headers = to_binary_event(event).headers
    assert (headers["ce-flag"], headers["ce-raw"]) == ("True", r"b'\x00'")
    head = http.binary_head(Event.from_sdk(event))
    assert b"ce-flag: true\r\n" in head
    assert b"ce-raw: AA==\r\n" in head


def test_it_lets_headers_decide_the_mode_against_the_content_type():
    body = f"{{{HEAD}}}".replace('"id":"1"', '"id":"body"').encode()

    assert from_http_event(HTTPMessage({**STRUCTURED, **CE}, body)).get_id() == "1"
    assert ours({**STRUCTURED, **CE}, body).id == "body"


def test_it_has_no_batches():
    batch = {"content-type": "application/cloudevents-batch+json"}

    with pytest.raises(AttributeError):
        from_http_event(HTTPMessage(batch, b"[]"))
    assert http.decode([(b"content-type", batch["content-type"].encode())], b"[]", LIMITS) == []


@pytest.mark.parametrize("data", [b'{"n": 1.0e5}', b'{"n": 1e400}', b'{"a":1,"a":2}'])
def test_it_writes_json_data_anew(data):
    headers = {**CE, "content-type": "application/json"}

    assert to_binary_event(theirs(headers, data)).body != data
    assert ours(headers, data).data == data
    assert data in json.encode(ours(headers, data))


@pytest.mark.parametrize(
    ("data", "broken"), [("I'm", b"I'm"), ([True, None], b"[True, None]"), (True, b"True")]
)
def test_it_writes_json_values_that_are_no_objects_as_python_shows_them(data, broken):
    event = CloudEvent(
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "datacontenttype": "application/json"},
        data,
    )

    assert to_binary_event(event).body == broken
    taken = Event.from_sdk(event)
    assert ours({**CE, "content-type": "application/json"}, taken.data or b"").data == taken.data != broken


def test_it_loses_data_that_are_null():
    body = f'{{{HEAD},"datacontenttype":"application/json","data":null}}'.encode()

    assert from_structured_event(HTTPMessage(STRUCTURED, body)).get_data() is None
    assert json.decode(body).data == b"null"


def test_it_takes_bytes_for_text():
    headers = {**CE, "content-type": "application/octet-stream"}

    assert b'"data": "hello"' in to_structured_event(theirs(headers, b"hello")).body
    assert b'"data_base64":"aGVsbG8="' in json.encode(ours(headers, b"hello"))


@pytest.mark.parametrize(
    "kind", ["Application/JSON", "application/a_b+json", "model/gltf+json", "application/json ; a=b"]
)
def test_it_does_not_see_json_in_every_json_type(kind):
    headers = {**CE, "content-type": kind}

    assert theirs(headers, b'{"a":1}').get_data() == '{"a":1}'
    assert b'"data":{"a":1}' in json.encode(ours(headers, b'{"a":1}'))


@pytest.mark.parametrize("member", ['"x":1.5', '"x":{}', '"x":1099511627776', '"x":"a\\u0000b"'])
def test_it_accepts_extensions_of_no_cloudevents_type(member):
    body = f"{{{HEAD},{member}}}".encode()

    assert from_structured_event(HTTPMessage(STRUCTURED, body)).get_extension("x") is not None
    with pytest.raises(InvalidEvent, match="x"):
        json.decode(body)
