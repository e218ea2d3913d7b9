"""Encoding and decoding one event of 1 KiB with eight attributes."""

from __future__ import annotations

from mesh_gateway.wire import http, json, stored
from tests.bench.measure import cpu

HEADERS = [
    (b"host", b"bench"),
    (b"content-length", b"1024"),
    (b"ce-specversion", b"1.0"),
    (b"ce-id", b"a1b2c3d4-0000-4000-8000-000000000001"),
    (b"ce-source", b"/shop/orders/eu-west-1"),
    (b"ce-type", b"com.example.order.created"),
    (b"ce-subject", b"order/12345"),
    (b"ce-time", b"2026-10-01T12:00:00.123456Z"),
    (b"ce-tenant", b"acme"),
    (b"content-type", b"application/json"),
]
BODY = b'{"a":"' + b"x" * 1_016 + b'"}'


def run() -> list[tuple[str, float, str]]:
    limits = http.Limits()
    event = http.decode(HEADERS, BODY, limits)[0]
    structured = json.encode(event)
    batch = json.encode_batch([event] * 100)
    raw = stored.encode(event)
    batched, spread = cpu(lambda: json.decode_batch(batch, 1_000, 2**20), count=200)
    return [
        ("HTTP binary → event", *cpu(lambda: http.decode(HEADERS, BODY, limits))),
        ("event → HTTP binary head", *cpu(lambda: http.binary_head(event))),
        ("structured → event", *cpu(lambda: json.decode(structured))),
        ("event → structured", *cpu(lambda: json.encode(event))),
        ("batch of 100 → events", batched / 100, f"each; {spread} the batch"),
        ("event → stored", *cpu(lambda: stored.encode(event))),
        ("stored → event", *cpu(lambda: stored.decode(raw))),
    ]
