"""AMQP 0-9-1 properties and field tables, as bytes: only what messages need, and only as dear as it must be."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

u32 = struct.Struct(">I")
u64 = struct.Struct(">Q")
_kind_and_size = struct.Struct(">BI")

CONTENT_TYPE, HEADERS, DELIVERY_MODE, MESSAGE_ID, TIMESTAMP = 1 << 15, 1 << 13, 1 << 12, 1 << 7, 1 << 6
PERSISTENT = b"\x02"

WITHOUT_TYPE = struct.pack(">H", HEADERS | DELIVERY_MODE | MESSAGE_ID | TIMESTAMP)
"""What properties begin with that are written here; with a content type it is the next."""

WITH_TYPE = struct.pack(">H", CONTENT_TYPE | HEADERS | DELIVERY_MODE | MESSAGE_ID | TIMESTAMP)

_SIZES = tuple(bytes((size,)) for size in range(256))
"""What stands before a short text."""

_SHORT_TEXTS = {1 << bit for bit in (15, 14, 10, 9, 8, 7, 5, 4, 3, 2)}
_OCTETS = {1 << 12, 1 << 11}

_SCALARS = {
    b"t": struct.Struct(">?"),
    b"b": struct.Struct(">b"),
    b"B": struct.Struct(">B"),
    b"s": struct.Struct(">h"),
    b"U": struct.Struct(">h"),
    b"u": struct.Struct(">H"),
    b"I": struct.Struct(">i"),
    b"i": struct.Struct(">I"),
    b"l": struct.Struct(">q"),
    b"L": struct.Struct(">q"),
    b"f": struct.Struct(">f"),
    b"d": struct.Struct(">d"),
    b"T": struct.Struct(">Q"),
}


class Properties(NamedTuple):
    """What is read of a message's properties."""

    content_type: str | None
    headers: Mapping[str, Any]
    message_id: str | None
    timestamp: int | None


class BadFields(ValueError):
    """The bytes are no properties or table."""


def write(content_type: str | None, table: bytes, message_id: bytes, now: int) -> bytes:
    """Properties of a persistent message whose headers are in this table, which `text` has made."""
    opening = WITHOUT_TYPE if content_type is None else WITH_TYPE + _short(content_type.encode())
    id_size = _SIZES[len(message_id)]
    return b"".join((opening, u32.pack(len(table)), table, PERSISTENT, id_size, message_id, u64.pack(now)))


def text(name: bytes, value: bytes) -> bytes:
    """One header of a table: a text."""
    return _short(name) + b"S" + u32.pack(len(value)) + value


def _short(text: bytes) -> bytes:
    try:
        return _SIZES[len(text)] + text
    except IndexError:
        raise BadFields(f"{text[:40]!r}… is longer than the 255 bytes that AMQP has for it") from None


def text_at(raw: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Name and text of the header at this place of a table, and where the next begins. Raises `BadFields` for anything else."""
    try:
        name = raw[at + 1 : at + 1 + raw[at]]
        kind, size = _kind_and_size.unpack_from(raw, at + 1 + len(name))
    except (struct.error, IndexError) as error:
        raise BadFields(f"the table cannot be read: {error}") from None
    if kind != ord("S"):
        raise BadFields(f"the header {name!r} is no text")
    at += 6 + len(name)
    return name, raw[at : at + size], at + size


def read(raw: bytes) -> Properties:
    """The properties in these bytes. Raises `BadFields`."""
    try:
        return _read(raw)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BadFields(f"the message's properties cannot be read: {error}") from None


def _read(raw: bytes) -> Properties:
    (flags,) = struct.unpack_from(">H", raw)
    at = 2
    content_type = message_id = timestamp = None
    headers: dict[str, Any] = {}
    for bit in range(15, 1, -1):
        flag = 1 << bit
        if not flags & flag:
            continue
        if flag in _SHORT_TEXTS:
            end = at + 1 + raw[at]
            if flag == CONTENT_TYPE:
                content_type = raw[at + 1 : end].decode()
            elif flag == MESSAGE_ID:
                message_id = raw[at + 1 : end].decode("utf-8", "replace")
            at = end
        elif flag in _OCTETS:
            at += 1
        elif flag == HEADERS:
            (size,) = u32.unpack_from(raw, at)
            headers = table(raw, at + 4, at + 4 + size)
            at += 4 + size
        elif flag == TIMESTAMP:
            (timestamp,) = u64.unpack_from(raw, at)
            at += 8
    if at > len(raw):
        raise BadFields("the message's properties end in the middle")
    return Properties(content_type, headers, message_id, timestamp)


def table(raw: bytes, at: int, end: int) -> dict[str, Any]:
    """A field table between two places. Texts as bytes; what no attribute can be (arrays, tables) as None."""
    found: dict[str, Any] = {}
    while at < end:
        size = raw[at]
        name = raw[at + 1 : at + 1 + size].decode()
        at += 1 + size
        kind = raw[at : at + 1]
        at += 1
        if kind in (b"S", b"x"):
            (size,) = u32.unpack_from(raw, at)
            found[name] = raw[at + 4 : at + 4 + size]
            at += 4 + size
        elif kind in _SCALARS:
            scalar = _SCALARS[kind]
            (found[name],) = scalar.unpack_from(raw, at)
            at += scalar.size
        elif kind in (b"A", b"F"):
            (size,) = u32.unpack_from(raw, at)
            found[name] = None
            at += 4 + size
        elif kind == b"D":
            found[name] = None
            at += 5
        elif kind == b"V":
            found[name] = None
        else:
            raise BadFields(f"the header {name} is of an unknown type {kind!r}")
    return found
