"""Structured and batched events: the CloudEvents JSON format, with `data` kept as the bytes that came.

Numbers, white space and the order of members inside `data` are the producer's business (and part of
what it may have signed), so a JSON value is spliced in and out as a slice and never rewritten.
"""

from __future__ import annotations

import base64
import binascii
import json as stdlib_json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from mesh_gateway import attributes as rules
from mesh_gateway.attributes import Kind
from mesh_gateway.errors import EventTooLarge, InvalidEvent
from mesh_gateway.event import Event

NOTHING: frozenset[str] = frozenset()

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_value = msgspec.json.Decoder()
_check = msgspec.json.Decoder(msgspec.Raw)
_encode = msgspec.json.Encoder().encode
_integer = re.compile(rb"-?(0|[1-9][0-9]*)\Z").match
_plain_string = re.compile(rb'"[ !#-\[\]-~]*"\Z').match

CORE = frozenset({"specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype"})
"""Attributes that are always strings."""

CORE_03 = frozenset({"schemaurl", "datacontentencoding"})


def decode(body: bytes) -> Event:
    """The event of a structured message. Raises `InvalidEvent` naming every failing attribute."""
    _check_text(body)
    members = _parse(_members.decode, body, "a JSON object")
    _check_names(members, body)
    return _event(members)


def decode_batch(body: bytes, max_events: int, max_event_bytes: int) -> list[Event]:
    """The events of a batch, all valid. Raises `InvalidEvent` with the index of each bad member,
    `EventTooLarge` over a limit.
    """
    _check_text(body)
    members = _parse(_array.decode, body, "a JSON array of events")
    if len(members) > max_events:
        raise EventTooLarge(f"the batch has {len(members)} events, the limit is {max_events}")
    events: list[Event] = []
    faults: list[str] = []
    for index, member in enumerate(members):
        raw = bytes(member)
        if len(raw) > max_event_bytes:
            raise EventTooLarge(f"[{index}] has {len(raw)} bytes, the limit is {max_event_bytes} an event")
        try:
            envelope = _parse(_members.decode, raw, "a JSON object")
            _check_names(envelope, raw)
            events.append(_event(envelope))
        except InvalidEvent as error:
            faults += [f"[{index}].{fault}" for fault in error.faults]
    if faults:
        raise InvalidEvent(faults)
    return events


def encode(event: Event, skip: Collection[str] = NOTHING) -> bytes:
    """The structured form. JSON data that is valid is spliced in; other data becomes text or base64."""
    kinds = event.kinds
    members: dict[str, Any] = {}
    for name, text in event.attributes.items():
        if name in skip:
            continue
        kind = None if kinds is None else kinds.get(name)
        members[name] = text if kind is None else text == "true" if kind == "boolean" else int(text)
    head = _encode(members)
    if event.data is None:
        return head
    return head[:-1] + b"," + _data_member(event.attributes.get("datacontenttype"), event.data) + b"}"


def encode_batch(events: Iterable[Event], skip: Collection[str] = NOTHING) -> bytes:
    """A JSON array of structured events."""
    return b"[" + b",".join(encode(event, skip) for event in events) + b"]"


def as_document(event: Event, skip: Collection[str] = NOTHING) -> Any:
    """The structured form as a Python object, for showing; never for passing on."""
    return stdlib_json.loads(encode(event, skip))


def _data_member(content_type: str | None, data: bytes) -> bytes:
    if rules.is_json(content_type) and content_type is not None:
        if _is_json_text(data):
            return b'"data":' + data
    elif content_type is not None and _is_text(content_type):
        try:
            return b'"data":' + _encode(data.decode())
        except UnicodeDecodeError:
            pass
    return b'"data_base64":"' + base64.b64encode(data) + b'"'


def _is_json_text(data: bytes) -> bool:
    try:
        data.decode()
        _check.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return False
    return True


def _is_text(content_type: str) -> bool:
    media, _, parameters = content_type.lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    if charset and not charset.startswith(("utf-8", "us-ascii")):
        return False
    media = media.strip()
    return media.startswith("text/") or media.endswith(("/xml", "+xml"))


def _check_text(body: bytes) -> None:
    # msgspec does not look inside what it skips: UTF-8 and repeated names are checked here.
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"the JSON text is not UTF-8 at byte {error.start}") from None


def _parse(decode: Callable[[bytes], Any], body: bytes, what: str) -> Any:
    try:
        return decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidEvent(f"the body is not {what}: {error}") from None


def _event(members: dict[str, msgspec.Raw]) -> Event:
    attributes: dict[str, str] = {}
    kinds: dict[str, Kind] = {}
    faults: list[str] = []
    data = members.pop("data", None)
    encoded = members.pop("data_base64", None)
    for name, raw in members.items():
        _take(name, bytes(raw), attributes, kinds, faults)
    faults += rules.faults(attributes)
    content: bytes | None = None
    try:
        content = _content(attributes, data, encoded)
    except InvalidEvent as error:
        faults += error.faults
    if faults:
        raise InvalidEvent(faults)
    return Event(attributes, content, kinds or None)


def _take(
    name: str, raw: bytes, attributes: dict[str, str], kinds: dict[str, Kind], faults: list[str]
) -> None:
    """One member into `attributes`, or a sentence into `faults`."""
    if _plain_string(raw):
        attributes[name] = raw[1:-1].decode()
        return
    first = raw[:1]
    if raw == b"null":
        return
    if first == b'"':
        try:
            attributes[name] = _value.decode(raw)
        except msgspec.DecodeError as error:
            faults.append(f"{name}: {error}")
        return
    if name in CORE or name in CORE_03:
        faults.append(f"{name}: must be a string")
    elif raw in (b"true", b"false"):
        attributes[name] = raw.decode()
        kinds[name] = "boolean"
    elif _integer(raw) and rules.INTEGER_MIN <= int(raw[:12]) <= rules.INTEGER_MAX and len(raw) <= 11:
        attributes[name] = str(int(raw))
        kinds[name] = "integer"
    else:
        faults.append(f"{name}: must be a string, a boolean or an integer of 32 bits")


def _content(
    attributes: dict[str, str], data: msgspec.Raw | None, encoded: msgspec.Raw | None
) -> bytes | None:
    """The data bytes of an envelope. Makes an implied JSON type explicit."""
    if encoded is not None and bytes(encoded) != b"null":
        if data is not None:
            raise InvalidEvent("data: and data_base64 are both there")
        return _from_base64("data_base64", encoded)
    if data is None:
        return None
    if (
        attributes.get("specversion") == "0.3"
        and attributes.pop("datacontentencoding", "").lower() == "base64"
    ):
        return _from_base64("data", data)
    content_type = attributes.get("datacontenttype")
    if content_type is None:
        attributes["datacontenttype"] = "application/json"
        return bytes(data)
    if rules.is_json(content_type):
        return bytes(data)
    text = _value.decode(data) if bytes(data)[:1] == b'"' else None
    if text is None:
        raise InvalidEvent(f"data: must be a string, because datacontenttype is {content_type}")
    return _with_charset(text, content_type)


def _with_charset(text: str, content_type: str) -> bytes:
    charset = content_type.lower().partition("charset=")[2].partition(";")[0].strip().strip('"') or "utf-8"
    try:
        return text.encode(charset)
    except (LookupError, UnicodeEncodeError):
        raise InvalidEvent(f"data: cannot be encoded as {charset}") from None


def _from_base64(name: str, raw: msgspec.Raw) -> bytes:
    try:
        text = _value.decode(raw)
        if not isinstance(text, str):
            raise InvalidEvent(f"{name}: must be a string of base64")
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidEvent(f"{name}: is not valid base64") from None


def _check_names(members: dict[str, msgspec.Raw], body: bytes) -> None:
    """A name that stands twice is 400: which of the two would other readers believe?

    msgspec keeps the last. A name's text standing twice in the body is only a suspicion (it may
    stand inside `data`); only then the body is parsed again, slowly.
    """
    if b"\\u" not in body and all(body.count(b'"' + name.encode() + b'"') == 1 for name in members):
        return
    pairs: list[list[tuple[str, Any]]] = [[]]

    def keep(found: list[tuple[str, Any]]) -> None:
        pairs[0] = found

    try:
        stdlib_json.loads(body, object_pairs_hook=keep, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"the body is not a JSON object: {error}") from None
    names = [name for name, _ in pairs[0]]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidEvent([f"{name}: stands more than once" for name in repeated])
