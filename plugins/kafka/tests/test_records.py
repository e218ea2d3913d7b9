"""Event ↔ record, in the form that Knative's Kafka Broker and the CloudEvents SDKs write and read."""

from __future__ import annotations

import json

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka.records import decode, encode

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=40)
events = st.builds(
    lambda data, attributes, headers, **given: Event(
        Event.new(data=data, **given, **attributes).attributes,
        data,
        Event.new(data=data, **given, **attributes).kinds,
        headers or None,
    ),
    type=texts,
    source=st.from_regex(r"/[a-z0-9/.-]{1,20}", fullmatch=True),
    id=texts,
    data=st.none() | st.binary(max_size=200),
    attributes=st.dictionaries(
        st.from_regex(r"x[a-z0-9]{1,15}", fullmatch=True),
        texts | st.booleans() | st.integers(-(2**31), 2**31 - 1),
    ),
    headers=st.dictionaries(st.sampled_from(["traceparent", "x-request-id"]), texts),
)


@given(events)
def test_an_event_comes_back_as_it_went(event):
    record = encode(event)
    back = decode(record.value, record.headers)

    assert back == event
    assert back.headers == event.headers


def test_the_record_is_what_knatives_broker_reads():
    event = Event.new(
        type="order.created", source="/shop", id="1", subject="ä b%", partitionkey="k", flag=True,
        datacontenttype="application/json", data=b"{}",
    )  # fmt: skip

    record = encode(event)

    assert record.key == b"k"
    assert record.value == b"{}"
    assert dict(record.headers) == {
        "ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/shop", "ce_type": b"order.created",
        "ce_subject": "ä b%".encode(), "ce_partitionkey": b"k", "ce_flag": b"true", "content-type": b"application/json",
        "mesh-kinds": b'{"flag":"boolean"}',
    }  # fmt: skip


def test_an_event_without_data_has_a_null_value_and_one_with_empty_data_has_not():
    assert encode(Event.new(type="t", source="/s")).value is None
    assert encode(Event.new(type="t", source="/s", data=b"")).value == b""


BINARY = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"t")]


def test_what_the_sdk_writes_is_read():
    event = Event.new(type="t", source="/s", id="1", time="2026-01-01T00:00:00Z", data=b'{"a": 1}',
                      datacontenttype="application/json", ext="x")  # fmt: skip
    message = to_binary(event.to_sdk(), JSONFormat())

    back = decode(message.value, list(message.headers.items()))

    assert dict(back.attributes) == dict(event.attributes)
    assert json.loads(back.data or b"") == {"a": 1}


def test_what_we_write_the_sdk_reads():
    event = Event.new(type="t", source="/s", id="1", time="2026-01-01T00:00:00Z", data=b'{"a": 1}',
                      datacontenttype="application/json", ext="x")  # fmt: skip
    record = encode(event)
    message = KafkaMessage(dict(record.headers), record.key, record.value)

    assert Event.from_sdk(from_binary(message, JSONFormat())).attributes["ext"] == "x"


def test_a_structured_record_is_read_and_its_attributes_in_headers_count_for_nothing():
    body = b'{"specversion": "1.0", "id": "7", "source": "/s", "type": "t", "data": {"n": 1.0e5}}'

    event = decode(
        body, [("content-type", b"application/cloudevents+json; charset=UTF-8"), ("ce_id", b"other")]
    )

    assert event.id == "7"
    assert event.data == b'{"n": 1.0e5}', "data stays as it came"


def test_of_a_header_that_stands_twice_the_last_counts():
    assert decode(None, [*BINARY, ("ce_id", b"2")]).id == "2"


def test_headers_that_are_not_of_cloudevents_are_no_attributes():
    event = decode(
        b"x", [*BINARY, ("kafka_offset", b"1"), ("traceparent", b"00"), ("ce_datacontenttype", b"text/x")]
    )

    assert set(event.attributes) == {"specversion", "id", "source", "type"}


@pytest.mark.parametrize(
    ("value", "headers", "says"),
    [
        (b"junk", [], "no CloudEvent"),
        (b"x", [("ce_specversion", b"1.0")], "id: missing"),
        (b"x", [*BINARY, ("ce_subject", b"\xff")], "ce_subject is not UTF-8"),
        (b"x", [*BINARY, ("ce_subject", None)], "ce_subject has no value"),
        (b"x", [*BINARY, ("ce_my_ext", b"1")], "my_ext"),
        (None, [("content-type", b"application/cloudevents+json")], "there is no value"),
        (b"{", [("content-type", b"application/cloudevents+json")], "JSON"),
    ],
)
def test_what_is_no_event_says_why(value, headers, says):
    with pytest.raises(InvalidEvent, match=says):
        decode(value, headers)


def test_the_size_is_never_less_than_what_kafka_makes_of_it():
    from aiokafka.record.default_records import DefaultRecordBatchBuilder

    for data in (None, b"", b"x" * 10_000):
        record = encode(
            Event.new(type="t" * 100, source="/s", data=data, partitionkey="k" * 30, other="ö" * 50)
        )
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 10**6)
        empty = builder.size()
        builder.append(0, 1, record.key, record.value, record.headers)
        assert builder.size() - empty <= record.size


@pytest.mark.parametrize("text", [None, b"", b"\xff", b"[]"])
@pytest.mark.parametrize("name", ["mesh-kinds", "mesh-headers"])
def test_a_header_that_somebody_else_wrote_under_our_name_is_as_good_as_none(name, text):
    assert decode(b"x", [*BINARY, (name, text)]) == decode(b"x", BINARY)
