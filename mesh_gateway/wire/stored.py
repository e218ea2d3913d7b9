"""One event as bytes for a store: self-describing, checksummed, decoded only to exactly what was encoded.

byte 0        version of this layout (1)
bytes 1–4     crc32 of everything after them, little-endian
byte 5        1 = there is data, 0 = there is none (which is not the same as empty data)
bytes 6–9     length of the head, little-endian
head          msgpack: [attributes, kinds | nil, headers | nil]
data          as it came
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from mesh_gateway.attributes import Kind
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

VERSION = 1

_prefix = struct.Struct("<BI")
_lengths = struct.Struct("<BI")
_START = _prefix.size
_HEAD = _START + _lengths.size
_encode = msgspec.msgpack.Encoder().encode
_Head = tuple[dict[str, str], dict[str, Kind] | None, dict[str, str] | None]
_decode = msgspec.msgpack.Decoder(_Head).decode


def encode(event: Event) -> bytes:
    """The event as bytes."""
    head = _encode((event.attributes, event.kinds, event.headers))
    data = event.data
    if data is None:
        body = _lengths.pack(0, len(head)) + head
    else:
        body = b"".join((_lengths.pack(1, len(head)), head, data))
    return _prefix.pack(VERSION, crc32(body)) + body


def decode(raw: bytes) -> Event:
    """The event that `encode` made these bytes of. Raises `InvalidEvent` for any others."""
    if len(raw) < _HEAD:
        raise InvalidEvent("the stored record is too short")
    version, checksum = _prefix.unpack_from(raw)
    if version != VERSION:
        raise InvalidEvent(f"the stored record has layout {version}, this version reads {VERSION}")
    if crc32(memoryview(raw)[_START:]) != checksum:
        raise InvalidEvent("the stored record is damaged (its checksum does not match)")
    has_data, length = _lengths.unpack_from(raw, _START)
    end = _HEAD + length
    try:
        attributes, kinds, headers = _decode(memoryview(raw)[_HEAD:end])
    except msgspec.DecodeError as error:
        raise InvalidEvent(f"the stored record is damaged: {error}") from None
    if has_data == 1 and end <= len(raw):
        return Event(attributes, raw[end:], kinds, headers)
    if has_data or end != len(raw):
        raise InvalidEvent("the stored record is damaged: its lengths do not agree")
    return Event(attributes, None, kinds, headers)
