"""Event ↔ message: binary content mode in `ce-` headers written; structured mode, other prefixes and the unprefixed
headers of Knative's RabbitMQ broker read as well.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

from mesh_gateway import attributes as rules
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import beside, json
from mesh_gateway_rabbitmq import fields

KINDS, HEADERS, EMPTY = b"x-mesh-kinds", b"x-mesh-headers", b"x-mesh-empty"
OWN = {name: name.decode() for name in (KINDS, HEADERS, EMPTY)}
"""Headers of ours that are no attributes."""

STRUCTURED = "application/cloudevents"

PREFIXES = ("ce-", "cloudEvents:", "cloudEvents_")
"""RabbitMQ's own binding; AMQP 1.0's, whose messages the server hands to us as headers."""

BESIDE = frozenset({"traceparent", "tracestate", "content-type"})
"""Headers that Knative's broker writes between the attributes, and that are none."""

COUNTS = frozenset({"x-delivery-count", "x-acquired-count"})
"""Headers that the server writes anew each time it hands a message out."""

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What Knative's broker writes for an event without a time."""

_SHORT = b"\0\0\0"
"""What the size of a text begins with that is shorter than 256 bytes."""

_SIZES = tuple(map(chr, range(128)))
"""The byte behind it, where it is ASCII."""

# What a header begins with, up to there: name, kind, `_SHORT`. Of attributes that were met, as they are written and as they
# are read. They are few and come with every event; they are also strangers' choice, so the memory is bounded, and starts
# over when it is full.
_MEMORY, _MEMORABLE = 512, 64
_openings: dict[str, str] = {}
_attributes_opened: dict[bytes, str] = {}


def encode(event: Event, message_id: bytes, now: int) -> tuple[bytes, bytes]:
    """Properties and body of a message. Raises `BadFields` for a name that AMQP has no room for."""
    attributes, data = event.attributes, event.data
    try:  # One text, encoded once, is half as dear as a table of encoded texts; it can hold short ASCII only.
        table = "".join(
            [
                f"{_openings[name]}{_SIZES[len(value)]}{value}"
                for name, value in attributes.items()
                if name != "datacontenttype"
            ]
        ).encode("ascii")
    except (KeyError, IndexError, UnicodeEncodeError):
        table = _table(attributes)
    if event.kinds:
        table += fields.text(KINDS, beside.written(event.kinds))
    if event.headers:
        table += fields.text(HEADERS, beside.written(event.headers))
    if data == b"":
        table += fields.text(EMPTY, b"1")  # AMQP cannot tell an empty body from none
    return fields.write(attributes.get("datacontenttype"), table, message_id, now), data or b""


def _table(attributes: Mapping[str, str]) -> bytes:
    """Any attributes; their names are known from now on."""
    texts: list[bytes] = []
    for name, value in attributes.items():
        if name != "datacontenttype":
            texts.append(fields.text(b"ce-" + name.encode(), value.encode()))
            if name.isascii():
                _remember(_openings, name, f"{len(name) + 3:c}ce-{name}S\0\0\0")
    return b"".join(texts)


def received(raw: bytes, body: bytes) -> tuple[Event, str, int | None]:
    """The event of a message with these properties, which message it is, and when it was published.

    Raises `InvalidEvent` or `BadFields` when it is no event.
    """
    found = _usual(raw, body)
    if found is not None:
        return found
    properties = fields.read(raw)
    event = decode(properties, body)
    return event, properties.message_id or fingerprint(properties.headers, body), properties.timestamp


def _usual(raw: bytes, body: bytes) -> tuple[Event, str, int | None] | None:
    """As `received`, of a message as `encode` writes it; None of any other. One pass over the bytes takes less than half
    of what properties take, of which then an event is made.
    """
    opening, content_type, at = raw[:2], "", 2
    own: dict[str, bytes] = {}
    try:
        if opening == fields.WITH_TYPE:
            at = 3 + raw[2]
            content_type = raw[3:at].decode()
        elif opening != fields.WITHOUT_TYPE:
            return None
        (size,) = fields.u32.unpack_from(raw, at)
        end = at + 4 + size
        attributes = _usual_attributes(raw, at + 4, end, own)
        last = end + 2 + raw[end + 1]  # behind the delivery mode
        message_id = raw[end + 2 : last].decode()
        (timestamp,) = fields.u64.unpack_from(raw, last)
    except (fields.BadFields, struct.error, IndexError, UnicodeDecodeError):
        return None
    if not attributes or not message_id or len(raw) != last + 8:
        return None
    if content_type:
        attributes["datacontenttype"] = content_type
    if content_type[:23].lower() == STRUCTURED or rules.faults(attributes):
        return None
    return _event(attributes, body, own), message_id, timestamp


def _usual_attributes(raw: bytes, at: int, end: int, own: dict[str, bytes]) -> dict[str, str] | None:
    """The attributes in a table of texts; what travels beside them is put into `own`. None where something else is.

    What was met before is known by one look at its name, kind and most of its size: a third off the whole table.
    """
    attributes: dict[str, str] = {}
    known = _attributes_opened
    while at < end:
        size_at = at + 5 + raw[at]
        attribute = known.get(raw[at:size_at])
        if attribute is not None:
            at = size_at + 1 + raw[size_at]
            attributes[attribute] = raw[size_at + 1 : at].decode()
            continue
        opening = raw[at:size_at]
        name, text, at = fields.text_at(raw, at)
        if name in OWN:
            own[OWN[name]] = text
        elif name[:3] == b"ce-" and rules.NAME.match(met := name[3:].decode()):
            attributes[met] = text.decode()
            if opening[-3:] == _SHORT:
                _remember(known, opening, met)
        else:
            return None
    return attributes if at == end else None


def decode(properties: fields.Properties, body: bytes) -> Event:
    """The event of a message. Raises `InvalidEvent` when it is none."""
    headers, content_type = properties.headers, properties.content_type
    if content_type is not None and content_type[:23].lower() == STRUCTURED:
        event = json.decode(body)
        known = _passed(headers)
        return Event(event.attributes, event.data, event.kinds, known) if known else event
    attributes = _attributes(headers)
    if content_type:
        attributes["datacontenttype"] = content_type
    faults = rules.faults(attributes)
    if faults:
        raise InvalidEvent(faults)
    return _event(attributes, body, headers)


def _event(attributes: Mapping[str, str], body: bytes, headers: Mapping[str, Any]) -> Event:
    kinds = headers.get("x-mesh-kinds")
    data: bytes | None = body
    if not body:
        data = b"" if "x-mesh-empty" in headers else None
    return Event(
        attributes, data, beside.kinds(kinds) if isinstance(kinds, bytes) else None, _passed(headers)
    )


def _passed(headers: Mapping[str, Any]) -> dict[str, str] | None:
    passed = headers.get("x-mesh-headers")
    return beside.headers(passed) if isinstance(passed, bytes) else None


def fingerprint(headers: Mapping[str, Any], body: bytes) -> str:
    """Which message it is, for one that its publisher gave no id: a queue has no offsets, so the content has to say.

    The same whenever it comes again; two messages with the same content are not told apart.
    """
    own = {name: value for name, value in headers.items() if name not in COUNTS}
    return hashlib.sha256(repr(own).encode() + body).hexdigest()[:32]


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    for prefix in PREFIXES:
        if prefix + "specversion" in headers:
            size = len(prefix)
            return {name[size:]: _text(name, headers[name]) for name in headers if name[:size] == prefix}
    if "specversion" in headers:
        return _knatives(headers)
    raise InvalidEvent(
        "no CloudEvent: there is neither a header ce-specversion nor the content type application/cloudevents+json"
    )


def _knatives(headers: Mapping[str, Any]) -> dict[str, str]:
    """Knative's RabbitMQ broker writes attributes without a prefix (eventing-rabbitmq, pkg/rabbit/message.go)."""
    found = {
        name.lower(): _text(name, value)
        for name, value in headers.items()
        if not name.startswith("x-") and name.lower() not in BESIDE
    }
    if found.get("time") == ZERO_TIME:
        del found["time"]
    return found


def _text(name: str, value: Any) -> str:
    """The canonical text of a header's value; AMQP's own types come from SDKs and from Knative."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidEvent(f"the header {name} is not UTF-8") from None
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise InvalidEvent(f"the header {name} is of a type that no attribute has")


def _remember(memory: dict[Any, str], name: str | bytes, text: str) -> None:
    if len(name) <= _MEMORABLE:
        if len(memory) >= _MEMORY:
            memory.clear()
        memory[name] = text
