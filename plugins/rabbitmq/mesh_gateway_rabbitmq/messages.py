"""Event ↔ message: binary content mode in `ce-` headers written; structured mode, other prefixes and the unprefixed
headers of Knative's RabbitMQ broker read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_gateway import attributes as rules
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import beside, json
from mesh_gateway_rabbitmq import fields

KINDS, HEADERS, EMPTY = b"x-mesh-kinds", b"x-mesh-headers", b"x-mesh-empty"
STRUCTURED = "application/cloudevents"

PREFIXES = ("ce-", "cloudEvents:", "cloudEvents_")
"""RabbitMQ's own binding; AMQP 1.0's, whose messages the server hands to us as headers."""

BESIDE = frozenset({"traceparent", "tracestate", "content-type"})
"""Headers that Knative's broker writes between the attributes, and that are none."""

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What Knative's broker writes for an event without a time."""

_names: dict[str, bytes] = {}
_NAMES = 512


def encode(event: Event, message_id: bytes, now: int) -> tuple[bytes, bytes]:
    """Properties and body of a message. Raises `BadFields` for a name that AMQP has no room for."""
    attributes = event.attributes
    headers = [
        (_names.get(name) or _header(name), value.encode())
        for name, value in attributes.items()
        if name != "datacontenttype"
    ]
    if event.kinds:
        headers.append((KINDS, beside.written(event.kinds)))
    if event.headers:
        headers.append((HEADERS, beside.written(event.headers)))
    data = event.data
    if data == b"":
        headers.append((EMPTY, b"1"))  # AMQP cannot tell an empty body from none
    return fields.write(attributes.get("datacontenttype"), headers, message_id, now), data or b""


def decode(properties: fields.Properties, body: bytes) -> Event:
    """The event of a message. Raises `InvalidEvent` when it is none."""
    headers, content_type = properties.headers, properties.content_type
    passed = headers.get("x-mesh-headers")
    known = beside.headers(passed) if isinstance(passed, bytes) else None
    if content_type is not None and content_type[:23].lower() == STRUCTURED:
        event = json.decode(body)
        return Event(event.attributes, event.data, event.kinds, known) if known else event
    attributes = _attributes(headers)
    if content_type:
        attributes["datacontenttype"] = content_type
    faults = rules.faults(attributes)
    if faults:
        raise InvalidEvent(faults)
    kinds = headers.get("x-mesh-kinds")
    data: bytes | None = body
    if not body:
        data = b"" if "x-mesh-empty" in headers else None
    return Event(attributes, data, beside.kinds(kinds) if isinstance(kinds, bytes) else None, known)


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


def _header(attribute: str) -> bytes:
    if len(_names) >= _NAMES:
        _names.clear()
    name = _names[attribute] = b"ce-" + attribute.encode()
    return name
