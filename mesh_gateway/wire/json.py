"""Structured and batched events: the CloudEvents JSON format, with `data` kept as the bytes that came.

Numbers, white space and the order of members inside `data` are the producer's business (and part of
what it may have signed), so a JSON value is spliced in and out as a slice and never rewritten.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json as stdlib_json
import re
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import Any

import msgspec

from mesh_gateway import attributes as rules
from mesh_gateway.errors import EventError, EventTooLarge, InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import repeated
from mesh_gateway.wire.repeated import Members

NOTHING: frozenset[str] = frozenset()

MAX_FAULTS = 50
"""Faults named in one answer: a body of a megabyte may hold a hundred thousand of them."""

_members = msgspec.json.Decoder(Members)
_each_members = msgspec.json.Decoder(list[Members])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_value = msgspec.json.Decoder()
_strings = msgspec.json.Decoder(list[str])
_check = msgspec.json.Decoder(msgspec.Raw)
_encode = msgspec.json.Encoder().encode

_charset = re.compile(r";[ \t]*charset=\"?([A-Za-z0-9._:+-]{1,40})", re.IGNORECASE).search
_NO_CHARSETS = frozenset(
    {"punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
)
"""Codecs of Python's that are no character sets; two of them take quadratic time."""


def decode(body: bytes) -> Event:
    """The event of a structured message. Raises `InvalidEvent` naming every failing attribute."""
    _check_text(body)
    members = _parse(_members.decode, body, "a JSON object")
    repeated.check(members, body)
    return _event(members)


def decode_each(body: bytes, max_events: int, max_event_bytes: int) -> list[Event | EventError]:
    """The members of a batch, each by itself: its event, or what is wrong with it.

    Raises `InvalidEvent` when the body is no batch at all, `EventTooLarge` when it has too many members.
    """
    _check_text(body)
    plain = _plain_members(body, max_events)
    if plain is not None:
        _check_count(len(plain), max_events)
        events = _plain_events(plain)
        if len(body) <= max_event_bytes:
            return events
        sizes = map(len, _array.decode(body))
        return [
            _too_large(size, max_event_bytes) if size > max_event_bytes else event
            for event, size in zip(events, sizes, strict=True)
        ]
    found = _parse(_array.decode, body, "a JSON array of events")
    _check_count(len(found), max_events)
    return [_member(bytes(member), max_event_bytes) for member in found]


def decode_batch(body: bytes, max_events: int, max_event_bytes: int) -> list[Event]:
    """The events of a batch, all valid. Raises `InvalidEvent` with the index of each bad member,
    `EventTooLarge` over a limit.
    """
    events: list[Event] = []
    faults: list[str] = []
    for index, one in enumerate(decode_each(body, max_events, max_event_bytes)):
        if isinstance(one, Event):
            events.append(one)
        elif isinstance(one, InvalidEvent):
            faults += [f"[{index}].{fault}" for fault in one.faults]
        else:
            raise EventTooLarge(f"[{index}] {one}")
    if faults:
        raise InvalidEvent(_few(faults))
    return events


PLAIN_BRACES, PLAIN_COLONS = 16, 64
"""Most of them for each event that is allowed, data included: what is read in one pass is counted only afterwards, and ten
megabytes of empty objects would be five million of them."""


def _plain_members(body: bytes, max_events: int) -> list[Members] | None:
    """The envelopes of a batch as most are written, in one pass over the text instead of three (a quarter of the cost of a
    batch); None for any other, and where a name stands twice.
    """
    colons = body.count(b":")
    if colons > PLAIN_COLONS * max_events or _has_more(body, b"{", PLAIN_BRACES * max_events):
        return None
    try:
        each = _each_members.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return each if repeated.none(each, body, colons) else None


def _has_more(body: bytes, byte: bytes, most: int) -> bool:
    """Whether a byte that is rare stands there more often. `count` looks at one byte after the other: three times as long."""
    return len(body) - len(body.replace(byte, b"", most + 1)) > most


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise EventTooLarge(f"the batch has {count} events, the limit is {most}")


def _plain_events(each: list[Members]) -> list[Event | EventError]:
    contents = [(members.pop("data", None), members.pop("data_base64", None)) for members in each]
    found: list[Event | EventError] = []
    for (data, encoded), given in zip(contents, _each_attributes(each), strict=True):
        try:
            found.append(_made(data, encoded, *given))
        except InvalidEvent as error:
            found.append(error)
    return found


def _too_large(size: int, most: int) -> EventTooLarge:
    return EventTooLarge(f"has {size} bytes, the limit is {most} an event")


def _member(raw: bytes, most: int) -> Event | EventError:
    if len(raw) > most:
        return _too_large(len(raw), most)
    try:
        envelope = _parse(_members.decode, raw, "a JSON object")
        repeated.check(envelope, raw)
        return _event(envelope)
    except InvalidEvent as error:
        return error


def encode(event: Event, skip: Collection[str] = NOTHING) -> bytes:
    """The structured form. JSON data that is valid is spliced in; other data becomes text or base64."""
    kinds = event.kinds
    members: dict[str, Any] = {}
    for name, text in event.attributes.items():
        if name in skip:
            continue
        kind = None if kinds is None else kinds.get(name)
        members[name] = text if kind is None else rules.typed(text, kind)
    old = event.attributes.get("specversion") == "0.3"
    if old:
        members.pop("datacontentencoding", None)  # the data of an Event are never encoded
    head = _encode(members)
    if event.data is None:
        return head
    return (
        head[:-1] + b"," + _data_member(event.attributes.get("datacontenttype"), event.data, old=old) + b"}"
    )


def encode_batch(events: Iterable[Event], skip: Collection[str] = NOTHING) -> bytes:
    """A JSON array of structured events."""
    return b"[" + b",".join(encode(event, skip) for event in events) + b"]"


def as_document(event: Event, skip: Collection[str] = NOTHING) -> Any:
    """The structured form as a Python object, for showing; never for passing on."""
    return stdlib_json.loads(encode(event, skip))


def _data_member(content_type: str | None, data: bytes, *, old: bool) -> bytes:
    if content_type is not None:
        if rules.is_json(content_type):
            if _is_json_text(data):
                return b'"data":' + data
        elif (text := _text_of(data, content_type)) is not None:
            return b'"data":' + _encode(text)
    encoded = base64.b64encode(data)
    if old:  # 0.3 knows no data_base64 (JSON format 0.3, 3.1)
        return b'"datacontentencoding":"base64","data":"' + encoded + b'"'
    return b'"data_base64":"' + encoded + b'"'


def _is_json_text(data: bytes) -> bool:
    try:
        data.decode()
        _check.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return False
    return True


def _text_of(data: bytes, content_type: str) -> str | None:
    """The data as a string, if its type is a text type and a reader would get these very bytes back."""
    media = content_type.partition(";")[0].strip().lower()
    if not (media.startswith("text/") or media.endswith(("/xml", "+xml"))):
        return None
    try:
        charset = _charset_of(content_type)
        text = data.decode(charset)
        return text if charset == "utf-8" or text.encode(charset) == data else None
    except (LookupError, ValueError):
        return None


def _charset_of(content_type: str) -> str:
    """The codec of a content type's `charset`. Raises `LookupError` for an unknown one."""
    match = _charset(content_type)
    if match is None:
        return "utf-8"
    name = codecs.lookup(match[1]).name
    if name in _NO_CHARSETS:
        raise LookupError(name)
    return name


def _check_text(body: bytes) -> None:
    # msgspec does not look inside what it skips: UTF-8 and repeated names are checked here.
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"the JSON text is not UTF-8 at byte {error.start}") from None


def _parse(decode: Callable[[bytes], Any], body: bytes, what: str) -> Any:
    try:
        return decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidEvent(f"the body is not {what}: {error}") from None


def _event(members: Members) -> Event:
    return _made(members.pop("data", None), members.pop("data_base64", None), *_attributes(members))


Attributes = tuple[dict[str, str], dict[str, rules.Kind], list[str]]
"""As `rules.canonical` gives them."""


def _made(
    data: msgspec.Raw | None,
    encoded: msgspec.Raw | None,
    attributes: dict[str, str],
    kinds: dict[str, rules.Kind],
    faults: list[str],
) -> Event:
    faults += rules.faults(attributes)
    content: bytes | None = None
    try:
        content = _content(attributes, data, encoded)
    except InvalidEvent as error:
        faults += error.faults
    if faults:
        raise InvalidEvent(_few(faults))
    return Event(attributes, content, kinds or None)


def _each_attributes(each: list[Members]) -> list[Attributes]:
    """Of each; in one call for all of them where they are strings (a twentieth of the cost of a batch)."""
    try:
        values = iter(_strings.decode(b"[" + b",".join(chain.from_iterable(m.values() for m in each)) + b"]"))
    except (msgspec.DecodeError, RecursionError):
        return [_attributes(members) for members in each]
    return [(dict(zip(members, values)), {}, []) for members in each]  # noqa: B905  # the next has what is left


def _attributes(members: Members) -> Attributes:
    """As `rules.canonical`; most events have strings only."""
    try:
        # One call for all of them: one a member costs three times as much.
        values = _strings.decode(b"[" + b",".join(members.values()) + b"]")
    except (msgspec.DecodeError, RecursionError):
        return rules.canonical(_given(members))
    return dict(zip(members, values, strict=True)), {}, []


def _given(members: Members) -> dict[str, object]:
    """The values of members that are not null; one that cannot be read is an object of no allowed type."""
    try:
        values = _value.decode(b"[" + b",".join(members.values()) + b"]")
    except (msgspec.DecodeError, RecursionError):
        values = [_readable(raw) for raw in members.values()]
    return {name: value for name, value in zip(members, values, strict=True) if value is not None}


def _readable(raw: msgspec.Raw) -> object:
    try:
        return _value.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return object()


def _few(faults: list[str]) -> list[str]:
    if len(faults) <= MAX_FAULTS:
        return faults
    return [*faults[:MAX_FAULTS], f"and {len(faults) - MAX_FAULTS} more faults"]


def _content(
    attributes: dict[str, str], data: msgspec.Raw | None, encoded: msgspec.Raw | None
) -> bytes | None:
    """The data bytes of an envelope. Makes an implied JSON type explicit, and undoes 0.3's encoding."""
    value = None if data is None else bytes(data)
    encoding = take_encoding(attributes)
    if encoded is not None and (text := bytes(encoded)) != b"null":
        if value is not None:
            raise InvalidEvent("data: and data_base64 are both there")
        return from_base64("data_base64", _string("data_base64", text))
    if value is None:
        return None
    if encoding:
        return from_base64("data", _string("data", value))
    content_type = attributes.get("datacontenttype")
    if content_type is None:
        attributes["datacontenttype"] = "application/json"
        return value
    if content_type == "application/json" or rules.is_json(content_type):
        return value
    if value[:1] != b'"':
        raise InvalidEvent(f"data: must be a string, because datacontenttype is {content_type[:64]}")
    try:
        return _string("data", value).encode(_charset_of(content_type))
    except (LookupError, ValueError):
        raise InvalidEvent(f"data: cannot be encoded as the charset of {content_type[:64]}") from None


def take_encoding(attributes: dict[str, str]) -> bool:
    """Whether the data are base64 (0.3's `datacontentencoding`, which is taken out: an Event's never are).

    Raises `InvalidEvent` for another encoding. 1.0 has no such attribute; there it is an extension.
    """
    if attributes.get("specversion") != "0.3" or "datacontentencoding" not in attributes:
        return False
    encoding = attributes.pop("datacontentencoding")
    if encoding.lower() != "base64":
        raise InvalidEvent("datacontentencoding: only base64 is read")
    return True


def from_base64(name: str, text: str | bytes) -> bytes:
    """The bytes of padded base64. Raises `InvalidEvent` naming the attribute or member."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidEvent(f"{name}: is not valid base64") from None


def _string(name: str, raw: bytes) -> str:
    if raw[:1] != b'"':
        raise InvalidEvent(f"{name}: must be a string")
    text: str = _parse(_value.decode, raw, "an event")
    return text
