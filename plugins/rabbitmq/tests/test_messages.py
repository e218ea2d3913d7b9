"""Event ↔ message: ours, the forms of others, and what is none."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_rabbitmq import fields
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
