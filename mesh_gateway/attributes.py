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

Kind = Literal["boolean", "integer"]

NAME = re.compile(r"[a-z0-9]+\Z")
"""Attribute names (2.3 "Naming Conventions"); `data` and `data_base64` are members, never attributes."""

VERSIONS = ("1.0", "0.3")
"""0.3 is accepted and kept as it came (knative.md 0.1, row 6)."""

INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1

# Any of these characters makes a value no String (2.3.1): C0, DEL and C1 controls, surrogates,
# and the noncharacters.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane * 0x10000 + low) for plane in range(1, 17) for low in (0xFFFE, 0xFFFF))
    + "]"
).search

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
).match
_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+\Z").match
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:").match
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  # RFC 7230's word for a name
_MEDIA_TYPE = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*(?:{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*"))?)*[ \t]*\Z'
).match

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def faults(attributes: Mapping[str, str]) -> list[str]:
    """One sentence for every attribute that breaks a rule; empty for a valid event."""
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
            found.append(f"{name}: holds a control character, a surrogate or a noncharacter")
        elif name not in _CHECKED:
            if not NAME.match(name):
                found.append(f"{_shown(name)}: an attribute name holds only a-z and 0-9")
            elif name == "data":
                found.append("data: is not an attribute name")
        else:
            check = _CHECKED[name]
            if check is not None and value and (fault := check(value)):
                found.append(f"{name}: {fault}")
            elif not value and name in _NOT_EMPTY:
                found.append(f"{name}: empty")
    return found


def canonical(given: Mapping[str, object]) -> tuple[dict[str, str], dict[str, Kind], list[str]]:
    """Values of any allowed type as canonical strings, the kinds of those that were none, and faults."""
    texts: dict[str, str] = {}
    kinds: dict[str, Kind] = {}
    found: list[str] = []
    for name, value in given.items():
        if isinstance(value, str):
            texts[name] = value
        elif isinstance(value, bool):
            texts[name] = "true" if value else "false"
            kinds[name] = "boolean"
        elif isinstance(value, int):
            if not INTEGER_MIN <= value <= INTEGER_MAX:
                found.append(f"{name}: {value} is outside the range of an Integer (32 bits)")
            texts[name] = str(value)
            kinds[name] = "integer"
        elif isinstance(value, bytes):
            texts[name] = base64.b64encode(value).decode()
        elif isinstance(value, datetime) and value.tzinfo is not None:
            texts[name] = value.isoformat().replace("+00:00", "Z")
        else:
            found.append(f"{name}: a {type(value).__name__} cannot be an attribute")
    untexted = [name for name in ("specversion", "id", "source", "type") if kinds.pop(name, None)]
    found += [f"{name}: must be a string" for name in untexted]
    return texts, kinds, found


def native(attributes: Mapping[str, str], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Attributes with the types they came with, and `time` as an aware datetime: what the SDK takes."""
    values: dict[str, Any] = {}
    for name, text in attributes.items():
        kind = kinds.get(name)
        if kind == "boolean":
            values[name] = text == "true"
        elif kind == "integer":
            values[name] = int(text)
        elif name == "time":
            values[name] = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        else:
            values[name] = text
    return values


def data_bytes(data: object) -> bytes | None:
    """The bytes of what the SDK calls data: bytes and text as they are, anything else as JSON."""
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def is_json(content_type: str | None) -> bool:
    """Whether data of this type is a JSON value: subtype `json` or `+json` (JSON format, 3.1)."""
    if content_type is None:
        return True
    subtype = content_type.partition(";")[0].strip().lower().partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


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
    return None if _MEDIA_TYPE(value) else f"{_shown(value)} is not a media type (RFC 2046)"


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
_NOT_EMPTY = frozenset({"subject", "time", "dataschema", "schemaurl"})
