"""What an attribute may be called and may hold (CloudEvents 1.0.2, section 2; JSON format, section 2).

Everything works on canonical strings: `true`, `42`, base64 for bytes, RFC 3339 for moments. The
functions name *all* failing attributes, because a producer that mends one fault at a time is a
producer that writes to us about it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.native import PARTS

Kind = Literal["boolean", "integer"]

NAME = re.compile(r"[a-z0-9]+\Z")
"""Attribute names (2.3 "Naming Conventions"); `data` and `data_base64` are members, never attributes."""

VERSIONS = ("1.0", "0.3")
"""0.3 is accepted and kept as it came."""

INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1

# Any of these characters makes a value no String (2.3.1): C0, DEL and C1 controls, surrogates,
# and the noncharacters.
_FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane * 0x10000 + low) for plane in range(1, 17) for low in (0xFFFE, 0xFFFF))
    + "]"
).search

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
).match
# As most write it, on any day but 29 February, without groups: three times as fast.
_USUAL_TIME = re.compile(
    r"[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
).match
_URI = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]*"
_URI_REFERENCE = re.compile(rf"(?!\Z){_URI}(?:%[0-9A-Fa-f]{{2}}{_URI})*\Z").match
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:").match
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  # RFC 7230's word for a name
# White space is matched in one place only on either side of a `;`: two places would let a crafted value
# cost exponential time.
_MEDIA_TYPE = re.compile(
    rf'{_TOKEN}/{_TOKEN}[ \t]*(?:;[ \t]*(?:{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*")[ \t]*)?)*\Z'
).match

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Names and content types that were found valid. They are few and come with every event; they are also
# strangers' choice, so the memory is bounded in number and in length (512 * 64 characters, twice). Full, it
# starts over: kept, what one stranger filled it with would slow everybody down for good.
_MEMORY, _MEMORABLE = 512, 64
_good_names: set[str] = set()
_good_media_types: set[str] = set()


plainly_valid = PARTS.plainly_valid
"""The same as `_plainly_valid` for most events, by a native part; None where there is none."""


def faults(attributes: Mapping[str, str]) -> list[str]:
    """One sentence for every attribute that breaks a rule; empty for a valid event."""
    if plainly_valid is not None and plainly_valid(attributes):
        return []
    return [] if _plainly_valid(attributes) else _all_faults(attributes)


def _plainly_valid(attributes: Mapping[str, str]) -> bool:
    """Whether this is the usual event, of printable ASCII under known names; False decides nothing."""
    text = "".join(attributes.values())
    get = attributes.get
    time, schema, content_type = get("time"), get("dataschema"), get("datacontenttype")
    return bool(
        text.isascii()
        and text.isprintable()
        and attributes.keys() <= _good_names
        and get("specversion") in VERSIONS
        and get("id")
        and get("type")
        and get("subject") != ""
        and _URI_REFERENCE(get("source", ""))
        and (content_type is None or content_type in _good_media_types)
        and (time is None or _USUAL_TIME(time))
        and (schema is None or not _schema_fault(schema))
        and "schemaurl" not in attributes
    )


def _all_faults(attributes: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    get = attributes.get
    for name in ("specversion", "id", "source", "type"):
        value = get(name)
        if value is None:
            found.append(f"{name}: missing")
        elif not value:
            found.append(f"{name}: empty")
    version = get("specversion")
    if version and version not in VERSIONS:
        found.append(f"specversion: {_shown(version)} is not supported, use 1.0")
    for name, value in attributes.items():
        if not (value.isascii() and value.isprintable()) and _FORBIDDEN(value):
            found.append(f"{named(name)}: holds a control character, a surrogate or a noncharacter")
        elif name not in _CHECKED:
            if not NAME.match(name):
                found.append(f"{named(name)}: an attribute name holds only a-z and 0-9")
            elif name == "data":
                found.append("data: is not an attribute name")
            else:
                _remember(name, _good_names)
        else:
            _remember(name, _good_names)
            check = _CHECKED[name]
            if check is not None and value and (fault := check(value)):
                found.append(f"{name}: {fault}")
            elif not value and name in _NOT_EMPTY:
                found.append(f"{name}: empty")
    return found


def is_text(value: str) -> bool:
    """Whether every character may stand in a String (2.3.1)."""
    return (value.isascii() and value.isprintable()) or not _FORBIDDEN(value)


def named(name: str) -> str:
    """A name fit for the head of a fault; quoted and cut if it is none."""
    return name if len(name) <= _MEMORABLE and NAME.match(name) else _shown(name)


_NO_TYPE = "must be a string, a boolean or an integer of 32 bits"


def canonical(given: Mapping[str, object]) -> tuple[dict[str, str], dict[str, Kind], list[str]]:
    """Values of any allowed type as canonical strings, the kinds of those that were none, and faults.

    A value with a fault still has some text, so that nobody reports its attribute as missing too.
    """
    texts: dict[str, str] = {}
    kinds: dict[str, Kind] = {}
    found: list[str] = []
    for name, value in given.items():
        if isinstance(value, str):
            texts[name] = value
            continue
        fault = None
        if isinstance(value, datetime):
            texts[name] = value.isoformat().replace("+00:00", "Z")
            if value.tzinfo is None:
                fault = "a datetime needs a time zone"
                texts[name] += "Z"
        elif name in STRINGS:
            fault, texts[name] = "must be a string", _FILLER.get(name, "-")
        elif isinstance(value, bool):
            texts[name], kinds[name] = "true" if value else "false", "boolean"
        elif isinstance(value, int):
            if INTEGER_MIN <= value <= INTEGER_MAX:
                texts[name], kinds[name] = str(value), "integer"
            else:
                fault, texts[name] = _NO_TYPE, "-"
        elif isinstance(value, bytes):
            texts[name] = base64.b64encode(value).decode()
        else:
            fault, texts[name] = _NO_TYPE, "-"
        if fault is not None:
            found.append(f"{named(name)}: {fault}")
    return texts, kinds, found


def typed(text: str, kind: Kind) -> str | bool | int:
    """A canonical string as a value of its type; the string itself where it is none, as kinds from beside the gateway may have it."""
    if kind == "boolean":
        return text == "true" if text in ("true", "false") else text
    try:
        return int(text)
    except ValueError:
        return text


def native(attributes: Mapping[str, str], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Attributes with the types they came with, and `time` as an aware datetime: what the SDK takes.

    Digits beyond microseconds are cut. Raises `InvalidEvent` for moments a datetime cannot hold (year 0,
    a leap second).
    """
    values: dict[str, Any] = {}
    for name, text in attributes.items():
        kind = kinds.get(name)
        if kind is not None:
            values[name] = typed(text, kind)
        elif name == "time":
            try:
                values[name] = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
            except ValueError as error:
                raise InvalidEvent(f"time: {_shown(text)} is no datetime of Python's: {error}") from None
        else:
            values[name] = text
    return values


def data_bytes(data: object, content_type: str | None = None) -> bytes | None:
    """The bytes of what the SDK calls data. Raises `InvalidEvent` for an object that is no JSON value.

    Bytes stay as they are and text of a type that is not JSON is encoded as UTF-8; anything else is a
    value that becomes JSON text, a string under a JSON type (or none) with its quotes.
    """
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    try:
        if isinstance(data, str) and not is_json(content_type):
            return data.encode()
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"data: cannot be written as JSON: {error}") from None


def is_json(content_type: str | None) -> bool:
    """Whether data of this type is a JSON value: subtype `json` or `+json` (JSON format, 3.1)."""
    if content_type is None:
        return True
    subtype = content_type.partition(";")[0].strip().lower().partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def _remember(value: str, memory: set[str]) -> None:
    if len(value) <= _MEMORABLE:
        if len(memory) >= _MEMORY:
            memory.clear()
        memory.add(value)


def _shown(value: str) -> str:
    text = value if len(value) <= 64 else value[:64] + "…"
    return json.dumps(text)


def _time_fault(value: str) -> str | None:
    match = _TIME(value)
    if match is None:
        return f"{_shown(value)} is not an RFC 3339 timestamp"
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1] or (month == 2 and day == 29 and not leap):
        return f"{_shown(value)} is not a day of the calendar"
    return None


def _source_fault(value: str) -> str | None:
    return None if _URI_REFERENCE(value) else f"{_shown(value)} is not a URI-reference (RFC 3986)"


def _schema_fault(value: str) -> str | None:
    if _URI_REFERENCE(value) and _SCHEME(value):
        return None
    return f"{_shown(value)} is not an absolute URI"


def _media_type_fault(value: str) -> str | None:
    if not _MEDIA_TYPE(value):
        return f"{_shown(value)} is not a media type (RFC 2046)"
    _remember(value, _good_media_types)
    return None


_CHECKED = {
    "specversion": None,
    "id": None,
    "type": None,
    "source": _source_fault,
    "subject": None,
    "time": _time_fault,
    "dataschema": _schema_fault,
    "schemaurl": _source_fault,
    "datacontenttype": _media_type_fault,
    "datacontentencoding": None,
}
_NOT_EMPTY = frozenset({"subject", "time", "dataschema", "schemaurl", "datacontenttype"})

STRINGS = frozenset(_CHECKED)
"""Attributes of the specification: always strings, whatever the encoding could say."""

_FILLER = {
    "specversion": "1.0",
    "time": "1970-01-01T00:00:00Z",
    "dataschema": "a:b",
    "datacontenttype": "a/b",
}
"""Text without a fault of its own, for attributes whose value already has one."""
