"""What is written is read again, by us and by the CloudEvents SDK; random bytes never surprise."""

from __future__ import annotations

import contextlib
from datetime import UTC
from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway import attributes as rules
from mesh_gateway.errors import EventError, InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import http, json, stored, text

LIMITS = http.Limits()

names = st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True).filter(
    lambda name: name not in {"data", "specversion", "id", "source", "type", "time", "subject", "dataschema",
                              "datacontenttype", "schemaurl", "datacontentencoding"}
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=40).filter(
    lambda t: not rules._FORBIDDEN(t) and t.strip(" \t") == t and not t.startswith('"')
)
sources = st.from_regex(r"/[a-z0-9/._~-]{0,20}", fullmatch=True)
values = st.one_of(texts, st.booleans(), st.integers(-(2**31), 2**31 - 1))
payloads = st.one_of(st.none(), st.binary(min_size=1, max_size=200))


@st.composite
def events(draw: st.DrawFn) -> Event:
    extensions = draw(st.dictionaries(names, values, max_size=4))
    content_type = draw(st.sampled_from([None, "application/json", "text/plain", "application/octet-stream"]))
    given_attributes: dict[str, Any] = dict(extensions)
    if content_type:
        given_attributes["datacontenttype"] = content_type
    subject = draw(st.none() | texts)
    if subject:
        given_attributes["subject"] = subject
    return Event.new(
        type=draw(texts), source=draw(sources), id=draw(texts), data=draw(payloads), **given_attributes
    )


def headers_of(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = [line.partition(b": ") for line in head.split(b"\r\n") if line]
    return [(name, value) for name, _, value in lines]


@given(events())
def test_binary_is_read_as_it_was_written(event: Event):
    (again,) = http.decode(headers_of(http.binary_head(event)), event.data or b"", LIMITS)

    assert again.attributes == event.attributes
    assert again.data == event.data


@given(events())
def test_structured_is_read_as_it_was_written_types_and_all(event: Event):
    again = json.decode(json.encode(event))

    assert again.attributes == event.attributes
    assert (again.kinds or {}) == (event.kinds or {})
    if event.data is None or event.attributes.get("datacontenttype") != "application/json":
        assert again.data == event.data
    else:
        assert (again.data or b"").strip() == event.data.strip()


@given(events())
def test_stored_is_read_as_it_was_written(event: Event):
    assert stored.decode(stored.encode(event)) == event


@given(events(), st.data())
def test_a_flipped_bit_in_a_stored_event_is_found(event: Event, data: st.DataObject):
    raw = bytearray(stored.encode(event))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(InvalidEvent):
        stored.decode(bytes(raw))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_stored_event_or_an_error(raw: bytes):
    with contextlib.suppress(InvalidEvent):
        stored.decode(raw)


@given(texts)
def test_a_header_value_survives_coding(value: str):
    encoded = text.encode(value)

    assert encoded.isascii()
    assert " " not in encoded
    assert text.decode("x", encoded.encode()) == value


@given(st.binary(max_size=60))
def test_a_decoded_header_value_is_text_or_an_error(raw: bytes):
    with contextlib.suppress(InvalidEvent):
        text.decode("x", raw).encode()


@given(st.lists(st.tuples(st.sampled_from([b"ce-id", b"ce-time", b"ce-x", b"content-type", b"ce-specversion"]),
                          st.binary(max_size=20)), max_size=6), st.binary(max_size=60))  # fmt: skip
def test_random_requests_give_events_or_a_typed_error(headers, body):
    with contextlib.suppress(EventError):
        http.decode(headers, body, LIMITS)


@given(st.binary(max_size=100))
def test_random_bodies_give_events_or_a_typed_error(body: bytes):
    for content_type in (b"application/cloudevents+json", b"application/cloudevents-batch+json"):
        with contextlib.suppress(EventError):
            http.decode([(b"content-type", content_type)], body, LIMITS)


# ── the SDK as oracle, where it is right ─────────────────────────────────────────────────────

ascii_texts = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='%"'), min_size=1, max_size=20
)
sdk_values = st.fixed_dictionaries(
    {
        "id": ascii_texts,
        "source": sources,
        "type": ascii_texts,
        "time": st.datetimes(timezones=st.just(UTC)),
        "subject": ascii_texts,
        "myext": ascii_texts,
    }
)
json_data = st.dictionaries(ascii_texts, st.integers() | ascii_texts, max_size=3)


def sdk_event(given_attributes, data) -> CloudEvent:
    return CloudEvent({"specversion": "1.0", "datacontenttype": "application/json", **given_attributes}, data)


@given(sdk_values, json_data)
def test_we_read_what_the_sdk_writes(given_attributes, data):
    theirs = sdk_event(given_attributes, data)
    for message in (to_binary_event(theirs), to_structured_event(theirs)):
        headers = [(name.lower().encode(), value.encode()) for name, value in message.headers.items()]
        (ours,) = http.decode(headers, message.body, LIMITS)

        for name in ("id", "source", "type", "subject", "myext"):
            assert ours.attributes[name] == given_attributes[name]
        assert stdlib(ours.data) == data


@given(sdk_values, json_data)
def test_the_sdk_reads_what_we_write(given_attributes, data):
    ours = Event.from_sdk(sdk_event(given_attributes, data))
    binary = {name.decode(): value.decode() for name, value in headers_of(http.binary_head(ours))}
    for theirs in (
        from_binary_event(HTTPMessage(binary, ours.data or b"")),
        from_structured_event(
            HTTPMessage({"content-type": "application/cloudevents+json"}, json.encode(ours))
        ),
    ):
        for name in ("id", "source", "type", "subject", "time"):
            assert theirs.get_attributes()[name] == given_attributes[name]
        assert theirs.get_data() == data


def stdlib(raw: bytes | None) -> object:
    import json as stdlib_json

    return stdlib_json.loads(raw or b"null")
