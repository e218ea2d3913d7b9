"""AMQP 0-9-1 frames on the wire. Those that come by the thousand are made and read here by hand; all others by pamqp.

frame: type, channel (2 bytes), size (4), payload, 0xCE
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
_END = b"\xce"

head = struct.Struct(">BHI")
"""Type, channel, size."""

method = struct.Struct(">HH")
"""Class and method."""

tagged = struct.Struct(">QB")
"""A delivery tag, and the bits behind it."""

_content = struct.Struct(">HHQ")

BASIC = 60
PUBLISH, RETURN, DELIVER, ACK, NACK = (BASIC, 40), (BASIC, 50), (BASIC, 60), (BASIC, 80), (BASIC, 120)

# Whole beginnings and frames, each made or read by one call.
_header = struct.Struct(">BHIHHQ")
_end_and_head = struct.Struct(">BBHI")
_settling = struct.Struct(">BHIHHQBB")
_SETTLING_BYTES = method.size + tagged.size
_deliver = method.pack(*DELIVER)

BEAT = head.pack(HEARTBEAT, 0, 0) + _END


def publish(channel: int, exchange: str, messages: Iterable[tuple[bytes, bytes]], frame_max: int) -> bytes:
    """Mandatory publishes of these (properties, body) to an exchange, one after the other."""
    name = exchange.encode()
    payload = method.pack(*PUBLISH) + b"\x00\x00" + bytes((len(name),)) + name + b"\x00" + b"\x01"
    opening = head.pack(METHOD, channel, len(payload)) + payload + _END
    room = frame_max - 8
    parts: list[bytes] = []
    for properties, body in messages:
        size = len(body)
        parts += (opening, _header.pack(HEADER, channel, 12 + len(properties), BASIC, 0, size), properties)
        if size <= room:
            if size:
                parts += (_end_and_head.pack(END, BODY, channel, size), body)
        else:
            for at in range(0, size, room):
                piece = body[at : at + room]
                parts += (_end_and_head.pack(END, BODY, channel, len(piece)), piece)
        parts.append(_END)
    return b"".join(parts)


def content(payload: bytes) -> tuple[int, bytes]:
    """Size of the body, and the properties, of a content header."""
    _, _, size = _content.unpack_from(payload)
    return size, payload[_content.size :]


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Settle this delivery, or all up to it."""
    return _settling.pack(METHOD, channel, _SETTLING_BYTES, *ACK, tag, multiple, END)


def requeue(channel: int, tag: int) -> bytes:
    """Give one delivery back."""
    return _settling.pack(METHOD, channel, _SETTLING_BYTES, *NACK, tag, 2, END)


def delivered(payload: bytes) -> tuple[int, bool]:
    """Tag and redelivered flag of a Basic.Deliver, whose payload begins with class and method."""
    at = 5 + payload[4]
    tag, bits = tagged.unpack_from(payload, at)
    return tag, bool(bits & 1)


def delivery(data: bytes, at: int, channel: int, size: int) -> tuple[int, bool, bytes, bytes, int] | None:
    """The Basic.Deliver whose method frame of this channel and size begins here, with its content: tag, redelivered flag,
    properties, body, and where the next frame begins.

    None of any other method, and unless all of it is here, in one frame of each kind: then frame by frame is the way. With messages
    written in one piece, this takes a fifth off an event over RabbitMQ.
    """
    if data[at + 7 : at + 11] != _deliver:
        return None
    tag, bits = tagged.unpack_from(data, at + 12 + data[at + 11])
    at += size + 8
    if len(data) < at + _header.size:
        return None
    kind, number, size, _, _, body_size = _header.unpack_from(data, at)
    if kind != HEADER or number != channel:
        return None
    properties, body = data[at + _header.size : at + 7 + size], b""
    at += size + 8
    if body_size:
        if len(data) < at + head.size:
            return None
        kind, number, size = head.unpack_from(data, at)
        if kind != BODY or number != channel or size != body_size:
            return None
        body = data[at + 7 : at + 7 + size]
        at += size + 8
    return (tag, bool(bits & 1), properties, body, at) if at <= len(data) else None
