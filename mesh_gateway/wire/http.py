"""Events in HTTP messages (CloudEvents HTTP protocol binding 1.0.2, section 3).

The content type decides the mode: `application/cloudevents-batch+json` is a batch,
`application/cloudevents+json` is structured, and anything else is binary, in which case the
attributes are the `ce-*` headers and `Content-Type` is the data's type, any text, unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
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
# choice, so the memory is bounded, and starts over when it is full.
_MEMORY = 512
_meanings: dict[bytes, tuple[int, str]] = {}
_MEMORABLE = 64
_ce_name = re.compile(rb"ce-([a-z0-9]+)\Z").match
_charset = re.compile(rb";[ \t]*charset=\"?([^\s\";]+)").search
_token = re.compile(r"[a-z0-9-]{1,64}").fullmatch
_breaks = re.compile(r"[\r\n]+")
_odd = re.compile(rb"[\x00-\x20\"%\x7f-\xff]").search


def mode(content_type: bytes | None) -> Mode:
    """How the event is encoded. Raises `UnsupportedMediaType` for CloudEvents formats not read here."""
    if content_type is None or content_type[:23].lower() != b"application/cloudevents":
        return "binary"
    content_type = content_type.lower()
    media = content_type.partition(b";")[0].strip()
    if media not in (STRUCTURED, BATCH):
        raise UnsupportedMediaType(
            f"{media[:64].decode('latin-1')} is not read here; use application/cloudevents+json, "
            "application/cloudevents-batch+json or binary mode"
        )
    charset = _charset(content_type)
    if charset is not None and charset[1] != b"utf-8":
        raise UnsupportedMediaType(f"charset {charset[1][:64].decode('latin-1')} is not read here; use utf-8")
    return "structured" if media == STRUCTURED else "batch"


def decode(headers: Headers, body: bytes, limits: Limits) -> list[Event]:
    """The events of a request: one, or those of a batch. Raises `EventError`.

    The content type decides: under a structured one the `ce-*` headers count for nothing, but none of
    them may stand twice in any mode.
    """
    raw: dict[str, bytes] = {}
    faults: list[str] = []
    content_type: bytes | None = None
    passed: dict[str, str] | None = None
    repeated = False
    meanings = _meanings
    for name, value in headers:
        meaning, attribute = meanings.get(name) or _meaning(name)
        if meaning == _ATTRIBUTE:
            if attribute in raw:
                repeated = True
                faults.append(f"{attribute}: the header ce-{attribute} stands more than once")
            raw[attribute] = value
        elif meaning == _CONTENT_TYPE:
            if content_type is not None:
                repeated = True
                faults.append("datacontenttype: the header Content-Type stands more than once")
            content_type = value.strip(b" \t")
        elif meaning == _PASS:
            passed = _pass(attribute, value, passed)
        elif meaning == _CONTENT_ENCODING:
            _check_encoding(value)
        elif attribute:
            faults.append(attribute)
    how = mode(content_type)
    if how == "binary":
        _check_size(len(body), limits.max_event_bytes)
        return [_binary(raw, faults, content_type, body, passed)]
    if repeated:
        raise InvalidEvent(faults)
    if how == "structured":
        _check_size(len(body), limits.max_event_bytes)
        return [_with_headers(json.decode(body), passed)]
    _check_size(len(body), limits.max_batch_bytes)
    events = json.decode_batch(body, limits.max_batch_events, limits.max_event_bytes)
    return [_with_headers(event, passed) for event in events] if passed else events


def plain(attributes: dict[str, str], body: bytes, passed: dict[str, str] | None, limits: Limits) -> Event:
    """The event of a binary request whose head a native part has read. Raises `EventTooLarge`."""
    _check_size(len(body), limits.max_event_bytes)
    return Event(attributes, body or None, None, passed)


def _binary(
    raw: dict[str, bytes],
    faults: list[str],
    content_type: bytes | None,
    body: bytes,
    passed: dict[str, str] | None,
) -> Event:
    if not raw and not faults:
        raise InvalidEvent(
            "not a CloudEvent: there are no ce-* headers, and the content type is not "
            "application/cloudevents+json"
        )
    attributes = _texts(raw, faults)
    faults += rules.faults(attributes)
    if content_type:
        # Any text passes unchanged; only what could not be sent on is refused.
        try:
            attributes["datacontenttype"] = value = content_type.decode()
            if not rules.is_text(value):
                faults.append("datacontenttype: holds a control character or a noncharacter")
        except UnicodeDecodeError:
            faults.append("datacontenttype: the Content-Type is not UTF-8")
    if "datacontentencoding" in attributes:
        body = _decoded(body, attributes, faults)
    if faults:
        raise InvalidEvent(faults)
    return Event(attributes, body or None, None, passed)


def _texts(raw: dict[str, bytes], faults: list[str]) -> dict[str, str]:
    """The attributes in header values; a bad value becomes a fault, and `?` so that it is not also missing."""
    if _odd(b"".join(raw.values())) is None:
        return {name: value.decode() for name, value in raw.items()}
    attributes: dict[str, str] = {}
    for name, value in raw.items():
        try:
            attributes[name] = text.decode(name, value)
        except InvalidEvent as error:
            faults += error.faults
            attributes[name] = "?"
    return attributes


def _decoded(body: bytes, attributes: dict[str, str], faults: list[str]) -> bytes:
    """The body without the base64 that 0.3 allows for it."""
    try:
        return json.from_base64("data", body) if json.take_encoding(attributes) else body
    except InvalidEvent as error:
        faults += error.faults
        return body


def decode_reply(headers: Headers, body: bytes, limits: Limits) -> Event | None:
    """The event in a response, None if it carries none. Raises `EventError` when the body is none.

    An empty body without `ce-*` headers is no reply; a batch is not a reply.
    """
    attributed = any(name[:3] == b"ce-" for name, _ in headers)
    if not body and not attributed:
        return None
    content_type = next((value for name, value in headers if name == b"content-type"), None)
    how = mode(content_type)
    if how == "batch":
        raise InvalidEvent("a batch is not a reply: answer with one event")
    if how == "binary" and not attributed:
        raise InvalidEvent("the response has a body but is not a CloudEvent")
    return decode(headers, body, limits)[0]


def binary_head(event: Event, skip: Collection[str] = NOTHING) -> bytes:
    """The header lines of a binary message, each ended by CR LF; the body is `event.data`."""
    lines: list[str] = []
    plain = text.is_plain
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
    if head.count("\n") != len(lines) or head.count("\r") != len(lines):
        # No codec makes such an event. Should one come from elsewhere, it must not write headers of its own.
        lines = [_breaks.sub(" ", line[:-2]) + "\r\n" for line in lines]
        head = "".join(lines)
    return head.encode("ascii") if head.isascii() else _mixed(lines)


def _mixed(lines: list[str]) -> bytes:
    """Content types are written in UTF-8, as they are read; all other lines are ASCII already."""
    return b"".join(
        line.encode() if line.startswith("content-type: ") else line.encode("latin-1", "replace")
        for line in lines
    )


def _meaning(name: bytes) -> tuple[int, str]:
    """What a header is to us: (kind, attribute name, or the fault of its name)."""
    if name[:3] == b"ce-":
        match = _ce_name(name)
        if match is None:
            shown = name[3:].decode("latin-1")
            found = (_OTHER, f"{rules.named(shown)}: an attribute name holds only a-z and 0-9")
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
    if len(name) <= _MEMORABLE:
        if len(_meanings) >= _MEMORY:
            _meanings.clear()
        _meanings[name] = found
    return found


def _pass(name: str, value: bytes, passed: dict[str, str] | None) -> dict[str, str] | None:
    """Keep a header that travels beside the event; several of one name are one list (RFC 9110, 5.3).

    Values that are not printable ASCII are left behind: tracing writes none, and they could not be sent on.
    """
    value = value.strip(b" \t")
    if not value.isascii() or not (shown := value.decode()).isprintable():
        return passed
    if passed is None:
        passed = {}
    if name in passed:
        passed[name] += ", " + shown
    elif len(passed) < MAX_PASSED:
        passed[name] = shown
    return passed


def passed(headers: Mapping[str, str]) -> dict[str, str] | None:
    """Those of the headers that travel beside an event, as `decode` keeps them: no other may be sent on in its name."""
    kept: dict[str, str] | None = None
    for name, value in headers.items():
        if _token(name) and _meaning(name.encode())[0] == _PASS:
            kept = _pass(name, value.encode(), kept)
    return kept


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
