"""What the server hands out, read off the wire: whole, whatever the pieces and whatever lies between them."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_rabbitmq import frames
from mesh_gateway_rabbitmq.link import Address, Channel, Link

NUMBERS = (1, 2)
ANSWER = struct.pack(">HH", 60, 11)
"""Basic.QosOk, which is no content."""


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return frames.head.pack(kind, channel, len(payload)) + payload + bytes((frames.END,))


def deliver(channel: int, tag: int, again: bool) -> bytes:
    payload = frames.method.pack(*frames.DELIVER) + b"\x05ctag1" + frames.tagged.pack(tag, again)
    return frame(frames.METHOD, channel, payload + b"\x02ex" + b"\x00")


def content(channel: int, properties: bytes, body: bytes, room: int) -> list[bytes]:
    """The frames of a content, of which no body frame has more than `room` bytes."""
    head = struct.pack(">HHQ", frames.BASIC, 0, len(body)) + properties
    pieces = [body[at : at + room] for at in range(0, len(body), room)]
    return [
        frame(frames.HEADER, channel, head),
        *(frame(frames.BODY, channel, piece) for piece in pieces),
    ]


def listening() -> tuple[Link, list[tuple[int, Any]]]:
    """A connection without a server, and what its channels are handed."""
    link = Link(Address("nowhere", 0, "guest", "guest", "/"), heartbeat=10)
    heard: list[tuple[int, Any]] = []
    for number in NUMBERS:
        channel = link._channels[number] = Channel(link, number)
        channel.on_deliver = lambda *content, number=number: heard.append((number, content))
        channel.on_confirm = lambda *confirm, number=number: heard.append((number, confirm))
    link._transport = cast("Any", None)
    return link, heard


messages = st.lists(
    st.tuples(
        st.sampled_from(NUMBERS),
        st.booleans(),
        st.binary(max_size=30),
        st.binary(max_size=40),
        st.integers(1, 50),
    ),
    max_size=8,
)


@given(messages, st.lists(st.integers(1, 90), max_size=30), st.booleans(), st.data())
async def test_content_arrives_whole_whatever_pieces_it_comes_in_and_whatever_lies_between(
    given_messages, pieces, beats, data
):
    queues: dict[int, list[bytes]] = {number: [] for number in NUMBERS}
    sent: dict[int, list[Any]] = {number: [] for number in NUMBERS}
    for tag, (number, again, properties, body, room) in enumerate(given_messages, 1):
        queues[number] += [deliver(number, tag, again), *content(number, properties, body, room)]
        queues[number].append(frames.ack(number, tag, multiple=again))  # a confirm, between two contents
        sent[number] += [(tag, again, properties, body), (tag, again, True)]
    wire = b""
    while any(queues.values()):  # frames of two channels mix
        number = data.draw(st.sampled_from([number for number in NUMBERS if queues[number]]))
        wire += queues[number].pop(0) + (frames.BEAT if beats else b"")
    link, heard = listening()

    for size in pieces:
        link.data_received(wire[:size])
        wire = wire[size:]
    link.data_received(wire)

    for number in NUMBERS:
        assert [what for of, what in heard if of == number] == sent[number]
    assert not link._rest


async def test_a_frame_that_comes_byte_by_byte_is_joined_once():
    link, heard = listening()
    wire = deliver(1, 7, again=False) + b"".join(content(1, b"p", b"x" * 5_000, 5_000))

    for at in range(len(wire)):
        link.data_received(wire[at : at + 1])

    assert heard == [(1, (7, False, b"p", b"x" * 5_000))]


async def test_a_content_of_a_channel_that_is_gone_is_read_past():
    link, heard = listening()

    link.data_received(
        deliver(9, 1, again=False)
        + b"".join(content(9, b"", b"lost", 9))
        + deliver(1, 2, again=True)
        + b"".join(content(1, b"", b"", 9))
    )

    assert heard == [(1, (2, True, b"", b""))]


@pytest.mark.parametrize("bytes_of_method", [b"", b"\x00", ANSWER[:3]])
async def test_a_method_that_is_none_ends_the_connection(bytes_of_method):
    link, _ = listening()
    ended: list[bool] = []

    class Wire:
        def abort(self) -> None:
            ended.append(True)

    link._transport = cast("Any", Wire())

    link.data_received(frame(frames.METHOD, 1, bytes_of_method))

    assert ended
    assert "cannot be read" in str(link.lost)


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=100)), max_size=5), st.integers(9, 60))
def test_what_is_published_is_one_method_one_header_and_bodies_that_fit_a_frame(given_messages, frame_max):
    wire = frames.publish(3, "ex", given_messages, frame_max)

    expected = b""
    for properties, body in given_messages:
        method = frames.method.pack(*frames.PUBLISH) + b"\x00\x00" + b"\x02ex" + b"\x00" + b"\x01"
        expected += frame(frames.METHOD, 3, method)
        expected += b"".join(content(3, properties, body, frame_max - 8))
    assert wire == expected
