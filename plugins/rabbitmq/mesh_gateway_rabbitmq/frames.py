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
        parts += (
            opening,
            head.pack(HEADER, channel, 12 + len(properties)),
            _content.pack(BASIC, 0, size),
            properties,
        )
        parts.append(_END)
        if size <= room:
            if size:
                parts += (head.pack(BODY, channel, size), body, _END)
            continue
        for at in range(0, size, room):
            piece = body[at : at + room]
            parts += (head.pack(BODY, channel, len(piece)), piece, _END)
    return b"".join(parts)


def content(payload: bytes) -> tuple[int, bytes]:
    """Size of the body, and the properties, of a content header."""
    _, _, size = _content.unpack_from(payload)
    return size, payload[_content.size :]


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Settle this delivery, or all up to it."""
    payload = method.pack(*ACK) + tagged.pack(tag, multiple)
    return head.pack(METHOD, channel, len(payload)) + payload + _END


def requeue(channel: int, tag: int) -> bytes:
    """Give one delivery back."""
    payload = method.pack(*NACK) + tagged.pack(tag, 2)
    return head.pack(METHOD, channel, len(payload)) + payload + _END


def delivered(payload: bytes) -> tuple[int, bool]:
    """Tag and redelivered flag of a Basic.Deliver, whose payload begins with class and method."""
    at = 5 + payload[4]
    tag, bits = tagged.unpack_from(payload, at)
    return tag, bool(bits & 1)
