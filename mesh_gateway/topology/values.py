"""The kinds of values that fields of documents hold, each with its check and its sentence."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from mesh_gateway.topology import durations
from mesh_gateway.topology.interpolate import Filled
from mesh_gateway.topology.spec import StartSpec


def wrong(message: str) -> PydanticCustomError:
    """What a validator raises: the sentence of a fault."""
    # Braces would be read as a template.
    return PydanticCustomError("wrong", "{message}", {"message": message})


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        raise wrong("must be an ISO 8601 duration in quotes, such as 'PT0.2S'")
    try:
        return durations.seconds(value)
    except ValueError as error:
        raise wrong(str(error)) from error


def _positive(value: float) -> float:
    if value <= 0:
        raise wrong("must be longer than nothing")
    return value


def _whole(value: Any) -> Any:
    """Python takes true for 1, and pydantic "1"; Kubernetes takes neither. A variable can only give text."""
    if isinstance(value, bool) or (isinstance(value, str) and not isinstance(value, Filled)):
        raise wrong("must be a whole number" + (", without quotes" if isinstance(value, str) else ""))
    return value


def _number(value: Any) -> float:
    """More than nothing; a variable can only give text."""
    if isinstance(value, bool) or not isinstance(value, int | float | Filled):
        raise wrong("must be a number" + (", without quotes" if isinstance(value, str) else ""))
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 < number < math.inf:
        raise wrong("must be a number that is more than 0")
    return number


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool) and (not isinstance(value, Filled) or value not in ("true", "false")):
        raise wrong("must be true or false" + (", without quotes" if isinstance(value, str) else ""))
    return value


_DURATION = {"type": "string", "format": "duration", "examples": ["PT0.2S", "PT10M"]}

Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_DURATION)]
"""An ISO 8601 duration; 0 is allowed."""
PositiveSeconds = Annotated[
    float, PlainValidator(lambda value: _positive(_seconds(value))), WithJsonSchema(_DURATION)
]
Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_boolean)]
PositiveNumber = Annotated[
    float,
    PlainValidator(_number),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]
Nonempty = Annotated[str, Field(min_length=1)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=2**31 - 1)]
"""How many; at least one."""
Bytes = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=2**40)]

_label = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
is_label = re.compile(rf"{_label}\Z").match
"""A namespace: one DNS label."""
is_name = re.compile(rf"{_label}(?:\.{_label})*\Z").match
"""A name: DNS labels with dots between them (Kubernetes, "DNS subdomain names")."""
LONGEST_NAME = 63
"""Characters. Names become parts of topics, queues, groups and file names."""


def _label_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not is_label(value):
        raise wrong(
            f"must be a-z, 0-9 and '-', at most {LONGEST_NAME}, and begin and end with a letter or digit"
        )
    return value


Label = Annotated[
    str, PlainValidator(_label_text), WithJsonSchema({"type": "string", "pattern": f"^{_label}$"})
]


_address = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})\Z", re.ASCII).match


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`. Raises `ValueError` with a sentence."""
    found = _address(text)
    if found is None or int(found["port"]) > 65_535:
        raise ValueError("must be 'HOST:PORT', such as '127.0.0.1:8080', '0.0.0.0:8080' or '[::1]:8080'")
    host = found["host"].strip("[]")
    if found["host"].startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv6 address") from None
    return host, int(found["port"])


def _listen(value: Any) -> tuple[str, int]:
    if not isinstance(value, str):
        raise wrong("must be text: 'HOST:PORT'")
    try:
        return listen_address(value)
    except ValueError as error:
        raise wrong(str(error)) from error


Listen = Annotated[
    tuple[str, int],
    PlainValidator(_listen),
    WithJsonSchema({"type": "string", "pattern": ":[0-9]+$", "examples": ["127.0.0.1:8080"]}),
]


def start_position(text: str) -> StartSpec:
    """Where a subscription begins. Raises `ValueError` with what is allowed."""
    if text in ("latest", "earliest"):
        return StartSpec(text)  # type: ignore[arg-type]  # one of its words
    if text.startswith("position:") and text != "position:":
        return StartSpec("position", position=text.removeprefix("position:"))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            "must be latest, earliest, a time such as 2026-11-24T08:00:00Z, or position:POSITION"
        )
    return StartSpec("timestamp", timestamp=moment.timestamp())


def _start(value: Any) -> StartSpec:
    try:
        return start_position(value if isinstance(value, str) else "")
    except (ValueError, OverflowError) as error:
        raise wrong(str(error)) from error


Start = Annotated[
    StartSpec,
    PlainValidator(_start),
    PlainSerializer(str, return_type=str),  # else the schema would hold the fields of the spec
    WithJsonSchema({"type": "string"}),
]

_header_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", re.ASCII).match
_OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
    | {"expect", "authorization", "prefer", "kn-namespace", "user-agent", "accept-encoding"}
)
"""Headers that a delivery has by itself, or that would change how its message is framed."""


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _header_name(name):
            raise wrong(f"{name!r} is not a header name")
        if name.lower() in _OURS or name.lower().startswith("ce-"):
            raise wrong(f"the header {name!r} is set by the gateway")
        if any(ord(c) < 32 or ord(c) > 126 for c in text):
            raise wrong(f"the value of {name!r} must be printable ASCII")
    return value


Headers = Annotated[dict[str, str], AfterValidator(_headers)]
