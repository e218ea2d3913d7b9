"""The events that are sent: 1 KiB of JSON, seven `ce-*` attributes and a content type."""

from __future__ import annotations

import json

from mesh_gateway.event import Event
from mesh_gateway.wire import http

PATH = "/shop/orders"
BODY = b'{"a":"' + b"x" * 1_016 + b'"}'
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "a1b2c3d4-0000-4000-8000-000000000001",
    "source": "/shop/orders/eu-west-1",
    "type": "com.example.order.created",
    "subject": "order/12345",
    "time": "2026-10-01T12:00:00.123456Z",
    "tenant": "acme",
}
TRACING = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "vendor=t61rcWkgMzE",
    "baggage": "tenant=acme,region=eu-west-1",
    "x-request-id": "9f1c2e8e-4a34-4c5e-8a5e-1f6f0f1c2d3e",
}
BATCH = 100


def _request(headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def binary(more: dict[str, str] | None = None, **attributes: str) -> bytes:
    """A request with one event in binary mode, and more headers."""
    found = {f"ce-{name}": value for name, value in (ATTRIBUTES | attributes).items()}
    return _request(found | (more or {}) | {"content-type": "application/json"}, BODY)


def batch(*, spaced: bool = False) -> bytes:
    """A request with `BATCH` events, as JavaScript and Go write them; `spaced` has blanks between the members, as Python does."""
    events = [member(str(number)) for number in range(BATCH)]
    body = json.dumps(events, separators=None if spaced else (",", ":")).encode()
    return _request({"content-type": "application/cloudevents-batch+json"}, body)


def member(id: str) -> dict[str, object]:
    """One event of a batch."""
    return ATTRIBUTES | {"id": id, "datacontenttype": "application/json", "data": json.loads(BODY)}


HEADERS = [
    (b"host", b"bench"),
    (b"content-length", str(len(BODY)).encode()),
    *((f"ce-{name}".encode(), value.encode()) for name, value in ATTRIBUTES.items()),
    (b"content-type", b"application/json"),
]


def event() -> Event:
    """The same event, decoded."""
    return http.decode(HEADERS, BODY, http.Limits())[0]
