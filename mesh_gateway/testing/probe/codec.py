"""Events on the wire, written and read without the product's own code: what both got wrong would not be seen.

An event is its attributes as text and its data as bytes (None = none), which is all that the prober needs.
CloudEvents HTTP binding 1.0.2 and JSON format 1.0.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_to_bytes

Attributes = dict[str, str]
Sample = tuple[Attributes, bytes | None]

SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""Printable ASCII that a header value holds as it is; space, quote and percent are not among them."""

HASH = "pbhash"
ATTEMPT = "pbatt"

ADDED = (ATTEMPT, HASH, "knativearrivaltime", "knativeerrordest", "knativeerrorcode", "knativeerrordata")
ADDED_PREFIX = "mesh"
"""Not part of what is hashed: what the prober changes for each attempt, and what the mesh says that it adds."""

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def digest(attributes: Mapping[str, str], data: bytes | None) -> str:
    """What must be the same at every sink: over the context, without what may be added, and the data."""
    context = sorted(
        (name, value)
        for name, value in attributes.items()
        if name not in ADDED and not name.startswith(ADDED_PREFIX)
    )
    made = hashlib.sha256(json.dumps(context, ensure_ascii=False).encode())
    made.update(b"\n" + (data or b""))
    return made.hexdigest()[:32]


def binary(attributes: Mapping[str, str], data: bytes | None) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of the binary mode."""
    headers = [
        ("content-type", value) if name == "datacontenttype" else (f"ce-{name}", quote(value, safe=SAFE))
        for name, value in attributes.items()
    ]
    return headers, data or b""


def envelope(attributes: Mapping[str, str], data: bytes | None) -> str:
    """One event in the JSON format. JSON data are put in as they are, byte by byte."""
    members = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in attributes.items()]
    if data is not None:
        kind = attributes.get("datacontenttype", "application/json")
        if "json" in kind:
            members.append(f'"data":{data.decode()}')
        elif kind.startswith("text/"):
            members.append(f'"data":{json.dumps(data.decode())}')
        else:
            members.append(f'"data_base64":"{base64.b64encode(data).decode()}"')
    return "{" + ",".join(members) + "}"


def structured(attributes: Mapping[str, str], data: bytes | None) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of the structured mode."""
    return [("content-type", STRUCTURED)], envelope(attributes, data).encode()


def batch(events: Iterable[Sample]) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a batch."""
    return [("content-type", BATCH)], f"[{','.join(envelope(*event) for event in events)}]".encode()


def decode(headers: Mapping[str, str], body: bytes) -> Sample:
    """The event in a request; header names are in lower case. Raises `ValueError` for what is none."""
    kind = headers.get("content-type", "")
    if kind.startswith(STRUCTURED):
        return _structured(body)
    attributes = {
        name[3:]: unquote_to_bytes(value).decode() for name, value in headers.items() if name[:3] == "ce-"
    }
    if not attributes:
        raise ValueError("not a CloudEvent: no ce- header, and not structured")
    if kind:
        attributes["datacontenttype"] = kind
    return attributes, body or None


def _structured(body: bytes) -> Sample:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("a structured event is no JSON object")  # noqa: TRY004 — of the sender, not of a caller
    text, coded = found.pop("data", None), found.pop("data_base64", None)
    attributes = {name: _canonical(value) for name, value in found.items()}
    if coded is not None:
        return attributes, base64.b64decode(coded)
    if text is None:
        return attributes, None
    kind = attributes.get("datacontenttype", "application/json")
    if "json" in kind:
        return attributes, json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode()
    return attributes, str(text).encode()


def _canonical(value: object) -> str:
    """A JSON value of an attribute as CloudEvents writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
