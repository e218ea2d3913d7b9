"""What travels beside an event where a binding knows only texts: the JSON types of its extensions, and its HTTP headers.

Kafka records and AMQP messages carry attributes as texts. Each of these two mappings becomes one more
text, written only when there is something to write, in a header of our own that other readers ignore.
Reading never fails: a header that somebody else wrote under our name is as good as none.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mesh_gateway.event import Kind

_encode = msgspec.json.Encoder().encode
_kinds = msgspec.json.Decoder(dict[str, Kind]).decode
_headers = msgspec.json.Decoder(dict[str, str]).decode


def written(mapping: Mapping[str, str]) -> bytes:
    """`Event.kinds` or `Event.headers` as JSON in UTF-8."""
    return _encode(mapping)


def kinds(text: bytes | str) -> dict[str, Kind] | None:
    """`Event.kinds` as `written` wrote them; None when it is nothing of the sort."""
    try:
        return _kinds(text) or None
    except (msgspec.DecodeError, UnicodeError):
        return None


def headers(text: bytes | str) -> dict[str, str] | None:
    """`Event.headers` as `written` wrote them; None when it is nothing of the sort."""
    try:
        return _headers(text) or None
    except (msgspec.DecodeError, UnicodeError):
        return None
