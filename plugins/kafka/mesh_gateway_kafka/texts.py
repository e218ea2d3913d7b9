"""Texts as they stand in Kafka's requests and answers (STRING in its protocol guide): their length in two bytes, then their UTF-8."""

from __future__ import annotations

from struct import Struct

_LENGTH = Struct(">h")


def written(text: str) -> bytes:
    """The text as it goes to a broker."""
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def read(raw: bytes, at: int) -> tuple[str, int]:
    """The text that begins there, and where it ends. Raises `struct.error` or `UnicodeDecodeError` when that is none."""
    (length,) = _LENGTH.unpack_from(raw, at)
    at += _LENGTH.size
    return raw[at : at + length].decode(), at + length
