"""Events in HTTP messages (CloudEvents HTTP protocol binding 1.0.2, section 3).

The content type decides the mode: `application/cloudevents-batch+json` is a batch,
`application/cloudevents+json` is structured, and anything else is binary, in which case the
attributes are the `ce-*` headers and `Content-Type` is the data's type, any text, unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from mesh_gateway import attributes as rules
from mesh_gateway.errors import EventTooLarge, InvalidEvent, UnsupportedMediaType
from mesh_gateway.event import Event
from mesh_gateway.wire import json, text

Mode = Literal["binary", "structured", "batch"]
Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""

STRUCTURED = b"application/cloudevents+json"
BATCH = b"application/cloudevents-batch+json"

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes and events that are read."""

    max_event_bytes: int = 1_048_576
    max_batch_events: int = 1_000
    max_batch_bytes: int = 10_485_760


_PASSED = frozenset({b"x-request-id", b"traceparent", b"tracestate", b"baggage"})
_PASSED_PREFIXES = (b"knative-", b"x-b3-")
MAX_PASSED = 32
"""Pass-through headers kept; a tracer sets five."""

_ATTRIBUTE = 1
_CONTENT_TYPE = 2
_CONTENT_ENCODING = 3
_PASS = 4
_OTHER = 0

# What a header name means, remembered for the names that keep coming. Names are the sender's
# choice, so the memory is bounded: past it every new name is worked out again.
_MEMORY = 512
_meanings: dict[bytes, tuple[int, str]] = {}
_ce_name = re.compile(rb"ce-([a-z0-9]+)\Z").match


def mode(content_type: bytes | None) -> Mode:
    """How the event is encoded. Raises `UnsupportedMediaType` for CloudEvents formats not read here."""
    if content_type is None or content_type[:23].lower() != b"application/cloudevents":
        return "binary"
    media, _, parameters = content_type.lower().partition(b";")
    media = media.strip()
    charset = re.search(rb"charset\s*=\s*\"?([^\s\";]+)", parameters)
    if charset is not None and charset[1] != b"utf-8":
        raise UnsupportedMediaType(f"charset {charset[1].decode('latin-1')} is not read here; use utf-8")
    if media == STRUCTURED:
        return "structured"
    if media == BATCH:
        return "batch"
    if media.startswith((b"application/cloudevents+", b"application/cloudevents-")) or (
        media == b"application/cloudevents"
    ):
        raise UnsupportedMediaType(
            f"{media.decode('latin-1')} is not read here; use application/cloudevents+json, "
            "application/cloudevents-batch+json or binary mode"
        )
    return "binary"


def decode(headers: Headers, body: bytes, limits: Limits) -> list[Event]:
    """The events of a request: one, or those of a batch. Raises `EventError`."""
    attributes: dict[str, str] = {}
    faults: list[str] = []
    content_type: bytes | None = None
    passed: dict[str, str] | None = None
    meanings = _meanings
    for name, value in headers:
        meaning, attribute = meanings.get(name) or _meaning(name)
        if meaning == _ATTRIBUTE:
            if attribute in attributes:
                faults.append(f"{attribute}: the header ce-{attribute} stands more than once")
            elif b"%" not in value and value.isascii() and value[:1] != b'"':
                attributes[attribute] = value.decode()
            else:
                _take(attribute, value, attributes, faults)
        elif meaning == _CONTENT_TYPE:
            content_type = value
        elif meaning == _PASS:
            if passed is None:
                passed = {}
            if len(passed) < MAX_PASSED:
                passed[attribute] = value.decode("latin-1")
        elif meaning == _CONTENT_ENCODING:
            _check_encoding(value)
        elif attribute:
            faults.append(attribute)
    if content_type is not None and content_type[:23].lower() == b"application/cloudevents":
        how = mode(content_type)
        if how == "structured":
            _check_size(len(body), limits.max_event_bytes)
            return [_with_headers(json.decode(body), passed)]
        if how == "batch":
            _check_size(len(body), limits.max_batch_bytes)
            events = json.decode_batch(body, limits.max_batch_events, limits.max_event_bytes)
            return [_with_headers(event, passed) for event in events] if passed else events
    return [_binary(attributes, faults, content_type, body, passed, limits)]


def _binary(
    attributes: dict[str, str],
    faults: list[str],
    content_type: bytes | None,
    body: bytes,
    passed: dict[str, str] | None,
    limits: Limits,
) -> Event:
    if len(body) > limits.max_event_bytes:
        _check_size(len(body), limits.max_event_bytes)
    if not attributes and not faults:
        raise InvalidEvent(
            "not a CloudEvent: there are no ce-* headers, and the content type is not "
            "application/cloudevents+json"
        )
    faults += rules.faults(attributes)
    if content_type is not None:
        # Any text passes unchanged (design 7); only what could not be sent on is refused.
        try:
            attributes["datacontenttype"] = value = content_type.decode()
            if not value.isprintable():
                faults.append("datacontenttype: holds a control character")
        except UnicodeDecodeError:
            faults.append("datacontenttype: the Content-Type is not UTF-8")
    if faults:
        raise InvalidEvent(faults)
    return Event(attributes, body or None, None, passed)


def decode_reply(headers: Headers, body: bytes, limits: Limits) -> Event | None:
    """The event in a response, None if it carries none. Raises `EventError` when the body is none.

    An empty body without `ce-*` headers is no reply; a batch is not a reply.
    """
    content_type = next((value for name, value in headers if name == b"content-type"), None)
    if mode(content_type) == "batch":
        raise InvalidEvent("a batch is not a reply: answer with one event")
    if mode(content_type) == "binary" and not any(name[:3] == b"ce-" for name, _ in headers):
        if not body:
            return None
        raise InvalidEvent("the response has a body but is not a CloudEvent")
    return decode(headers, body, limits)[0]


def binary_head(event: Event, skip: Collection[str] = NOTHING) -> bytes:
    """The header lines of a binary message, each ended by CR LF; the body is `event.data`."""
    lines: list[str] = []
    plain = text._plain
    for name, value in event.attributes.items():
        if name in skip:
            continue
        if name == "datacontenttype":
            lines.append("content-type: " + value + "\r\n")
        elif plain(value):
            lines.append("ce-" + name + ": " + value + "\r\n")
        else:
            lines.append("ce-" + name + ": " + text.encode(value) + "\r\n")
    if event.headers:
        lines += [f"{name}: {value}\r\n" for name, value in event.headers.items()]
    head = "".join(lines)
    return head.encode("ascii") if head.isascii() else _mixed(lines)


def _mixed(lines: list[str]) -> bytes:
    """Pass-through headers keep their bytes (they came as latin-1), content types are UTF-8."""
    return b"".join(
        line.encode() if line.startswith("content-type: ") else line.encode("latin-1", "replace")
        for line in lines
    )


def _meaning(name: bytes) -> tuple[int, str]:
    """What a header is to us: (kind, attribute name, or the fault of its name)."""
    if name[:3] == b"ce-":
        match = _ce_name(name)
        if match is None:
            found = (_OTHER, f"{name.decode('latin-1')}: an attribute name holds only a-z and 0-9")
        elif match[1] == b"data":
            found = (_OTHER, "ce-data: data is not an attribute name")
        elif match[1] == b"datacontenttype":
            found = (_OTHER, "ce-datacontenttype: the content type goes into Content-Type")
        else:
            found = (_ATTRIBUTE, match[1].decode())
    elif name == b"content-type":
        found = (_CONTENT_TYPE, "")
    elif name == b"content-encoding":
        found = (_CONTENT_ENCODING, "")
    elif name in _PASSED or name.startswith(_PASSED_PREFIXES):
        found = (_PASS, name.decode("latin-1"))
    else:
        found = (_OTHER, "")
    if len(_meanings) < _MEMORY:
        _meanings[name] = found
    return found


def _take(name: str, value: bytes, attributes: dict[str, str], faults: list[str]) -> None:
    try:
        attributes[name] = text.decode(name, value)
    except InvalidEvent as error:
        faults += error.faults
        attributes[name] = "?"


def _with_headers(event: Event, passed: dict[str, str] | None) -> Event:
    return event if passed is None else Event(event.attributes, event.data, event.kinds, passed)


def _check_encoding(value: bytes) -> None:
    if value.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType(
            f"Content-Encoding {value.decode('latin-1')} is not read here; send the body as it is"
        )


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise EventTooLarge(f"the body has {size} bytes, the limit is {limit}")
