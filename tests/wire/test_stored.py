"""One event as bytes for a store: what comes back is what went in, or an error."""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec
import pytest

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import stored

ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "ž 🐎"}


@pytest.mark.parametrize("data", [None, b"", b"x", b"\x00" * 100_000])
def test_no_data_empty_data_and_data_stay_apart(data):
    assert stored.decode(stored.encode(Event(ATTRIBUTES, data))).data == data


def test_kinds_and_pass_through_headers_come_back():
    event = Event({**ATTRIBUTES, "n": "7"}, b"x", {"n": "integer"}, {"traceparent": "00-1"})

    again = stored.decode(stored.encode(event))

    assert again == event
    assert again.headers == {"traceparent": "00-1"}


def test_an_event_without_kinds_and_headers_comes_back_without():
    again = stored.decode(stored.encode(Event(ATTRIBUTES)))

    assert (again.kinds, again.headers) == (None, None)


def test_a_record_cut_anywhere_is_an_error():
    raw = stored.encode(Event(ATTRIBUTES, b"some data"))
    for length in range(len(raw)):
        with pytest.raises(InvalidEvent):
            stored.decode(raw[:length])


def test_a_record_with_a_tail_is_an_error():
    with pytest.raises(InvalidEvent, match="checksum"):
        stored.decode(stored.encode(Event(ATTRIBUTES, b"x")) + b"y")


def test_a_record_of_another_layout_says_which():
    raw = stored.encode(Event(ATTRIBUTES))

    with pytest.raises(InvalidEvent, match="layout 2, this version reads 1"):
        stored.decode(b"\x02" + raw[1:])


def sealed(flag: int, length: int, tail: bytes) -> bytes:
    """A record whose checksum is right."""
    rest = struct.pack("<BI", flag, length) + tail
    return struct.pack("<BI", stored.VERSION, crc32(rest)) + rest


GOOD = msgspec.msgpack.encode((ATTRIBUTES, None, None))


@pytest.mark.parametrize(
    "raw",
    [
        sealed(0, len(GOOD), GOOD + b"tail"),
        sealed(7, len(GOOD), GOOD),
        sealed(1, len(GOOD) + 1, GOOD),
        sealed(1, len(GOOD) - 1, GOOD),
        sealed(1, 3, msgspec.msgpack.encode([{}])),
        *[
            sealed(0, len(head), head)
            for head in (
                msgspec.msgpack.encode(({"id": 1}, None, None)),
                msgspec.msgpack.encode((ATTRIBUTES, {"n": "float"}, None)),
                msgspec.msgpack.encode((ATTRIBUTES, None, {"h": 1})),
                msgspec.msgpack.encode(ATTRIBUTES),
                b"\xc1",
            )
        ],
    ],
)
def test_a_record_of_the_wrong_shape_is_an_error_even_with_its_checksum_right(raw):
    with pytest.raises(InvalidEvent, match="damaged"):
        stored.decode(raw)
