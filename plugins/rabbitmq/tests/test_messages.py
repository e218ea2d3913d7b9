"""Event ↔ message: ours, the forms of others, and what is none."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_rabbitmq import fields, messages
from mesh_gateway_rabbitmq.letters import read, written
from mesh_gateway_rabbitmq.messages import decode, encode
from mesh_gateway_rabbitmq.names import Names

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=40)


@given(
    texts,
    st.none() | st.binary(max_size=100),
    st.dictionaries(
        st.from_regex(r"x[a-z0-9]{1,15}", fullmatch=True), texts | st.booleans() | st.integers(-9, 9)
    ),
)
def test_an_event_comes_back_as_it_went(id, data, extensions):
    event = Event.new(type="t", source="/s", id=id, data=data, **extensions)

    properties, body = encode(event, b"m-1", 1_700_000_000)
    found = fields.read(properties)

    assert decode(found, body) == event
    assert (found.message_id, found.timestamp) == ("m-1", 1_700_000_000)


names = st.from_regex(r"x[a-z0-9]{0,70}", fullmatch=True)
values = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=300)


def in_full(raw: bytes, body: bytes) -> object:
    """What properties, decoded after they were read, say of a message: the event with everything beside it, or why not."""
    try:
        found = fields.read(raw)
        event = decode(found, body)
    except (InvalidEvent, fields.BadFields) as error:
        return str(error)
    return said(event, found.message_id or messages.fingerprint(found.headers, body), found.timestamp)


def at_once(raw: bytes, body: bytes) -> object:
    try:
        return said(*messages.received(raw, body))
    except (InvalidEvent, fields.BadFields) as error:
        return str(error)


def said(event: Event, message_id: str, published: int | None) -> object:
    return list(event.attributes.items()), event.data, event.kinds, event.headers, message_id, published


@given(
    values,
    st.none() | st.binary(max_size=9),
    st.dictionaries(names, values | st.booleans(), max_size=5),
    st.none() | st.just({"traceparent": "00-x"}) | st.just({"tracestate": "x" * 300}),
    st.none() | st.sampled_from(["application/json", "text/plain;charset=utf-8"]),
)
def test_a_message_of_ours_is_read_in_one_pass_as_it_is_read_in_full(
    id, data, extensions, beside, content_type
):
    event = Event.new(type="t", source="/s", id=id, data=data, **extensions)
    event = Event(
        {**event.attributes, **({"datacontenttype": content_type} if content_type else {})},
        data,
        event.kinds,
        beside,
    )

    raw, body = encode(event, b"m-1", 1_700_000_000)

    for _ in range(2):  # names that were not met before, and that were
        assert messages._usual(raw, body) is not None
        assert at_once(raw, body) == in_full(raw, body)
    assert messages.received(raw, body)[0] == event
    assert messages.received(raw, body)[0].headers == beside


def test_whatever_byte_of_a_message_is_another_it_is_read_in_one_pass_as_in_full():
    event = Event.new(type="t", source="/s", id="ü", subject="é" * 70, datacontenttype="a/b", flag=True)
    raw, body = encode(Event(event.attributes, b"", event.kinds, {"tracestate": "1"}), b"m-1", 1_700_000_000)
    messages.received(raw, body)

    for at in range(len(raw)):
        for byte in (
            0,
            1,
            2,
            3,
            8,
            0x20,
            0x41,
            0x53,
            0x61,
            0x74,
            0x7F,
            0x80,
            0xB0,
            0xC0,
            0xC3,
            0xFF,
            raw[at] + 1,
        ):
            changed = raw[:at] + bytes((byte % 256,)) + raw[at + 1 :]
            assert at_once(changed, body) == in_full(changed, body), (at, byte)
    for size in range(len(raw)):
        assert at_once(raw[:size], body) == in_full(raw[:size], body)
    assert at_once(raw + b"x", body) == in_full(raw + b"x", body)


@given(st.dictionaries(names, values, max_size=8))
def test_attributes_are_written_the_same_whether_they_were_met_before_or_not(attributes):
    first = messages._table(attributes)

    event = Event({**attributes, "datacontenttype": "a/b"})

    assert encode(event, b"m", 1) == (fields.write("a/b", first, b"m", 1), b"")


@pytest.mark.parametrize("attributes", [{"x" * 253: "v"}, {"datacontenttype": "a/" + "b" * 254}])
def test_a_name_or_type_that_amqp_has_no_room_for_is_refused_with_a_reason(attributes):
    for _ in range(2):
        with pytest.raises(fields.BadFields, match="longer than the 255 bytes"):
            encode(Event(attributes), b"m", 1)


def test_names_of_strangers_fill_no_memory():
    for number in range(2_000):
        event = Event.new(type="t", source="/s", id="1", **{f"x{number}": "v", f"y{number}" * 20: "v"})
        raw, body = encode(event, b"m", 1)
        assert messages.received(raw, body)[0] == event

    for memory in (messages._openings, messages._attributes_opened):
        assert len(memory) <= 512
        assert max(map(len, memory)) <= 64


def headers(**given: object) -> fields.Properties:
    return fields.Properties(
        None, {name.replace("_", "-"): value for name, value in given.items()}, None, None
    )


def test_knatives_unprefixed_headers_are_read():
    event = decode(
        fields.Properties(
            "application/json",
            {
                "specversion": b"1.0", "id": b"1", "source": b"/s", "type": b"t", "time": b"0001-01-01T00:00:00Z",
                "flag": True, "count": 3, "traceparent": b"00-x", "x-opt": b"1", "content-type": b"application/json",
            },
            None,
            None,
        ),
        b"{}",
    )  # fmt: skip

    assert dict(event.attributes) == {
        "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "flag": "true", "count": "3",
        "datacontenttype": "application/json",
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["ce-", "cloudEvents:", "cloudEvents_"])
def test_every_prefix_is_read(prefix):
    given = {prefix + name: value for name, value in
             {"specversion": b"1.0", "id": b"1", "source": b"/s", "type": b"t"}.items()}  # fmt: skip

    assert decode(fields.Properties(None, given, None, None), b"").id == "1"


def test_a_structured_message_is_read():
    body = b'{"specversion": "1.0", "id": "7", "source": "/s", "type": "t"}'

    assert decode(fields.Properties("application/cloudevents+json", {}, None, None), body).id == "7"


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        (headers(), "no CloudEvent"),
        (headers(ce_specversion=b"1.0"), "id: missing"),
        (headers(ce_specversion=b"1.0", ce_id=b"\xff"), "not UTF-8"),
        (headers(ce_specversion=b"1.0", ce_id=1.5), "of a type that no attribute has"),
    ],
)
def test_what_is_no_event_says_why(properties, says):
    with pytest.raises(InvalidEvent, match=says):
        decode(properties, b"")


@given(st.binary(max_size=60))
def test_any_bytes_are_properties_or_bad_fields(raw):
    with contextlib.suppress(fields.BadFields):
        fields.read(raw)


def test_properties_of_other_clients_are_read_past():
    raw = struct.pack(">H", 1 << 15 | 1 << 12 | 1 << 11 | 1 << 7 | 1 << 6 | 1 << 3)
    raw += b"\x01a" + b"\x02" + b"\x05" + b"\x02id" + struct.pack(">Q", 9) + b"\x03app"

    assert fields.read(raw) == fields.Properties("a", {}, "id", 9)


@given(st.sets(st.integers(0, 5_000), max_size=100))
def test_removed_dead_letters_are_written_as_ranges(offsets):
    assert set(read(written(offsets))) == offsets


def test_names_are_as_documented():
    names = Names("mesh-gateway")

    assert names.exchange("shop/orders") == "mesh-gateway.shop.orders" == names.queue("shop/orders", "shared")
    assert names.queue("shop/orders", "billing") == "mesh-gateway.shop.orders.billing"
    with pytest.raises(ValueError, match="choose shorter names"):
        names.exchange("shop/" + "b" * 260)
