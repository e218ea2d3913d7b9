"""Batches of Kafka records for a native part to read: usual ones, and ones that are almost usual."""

from __future__ import annotations

import random

from plugins.kafka.tests.alien import Record, batch

Header = tuple[bytes, bytes | None]

USUAL_HEADERS: tuple[Header, ...] = (
    (b"ce_specversion", b"1.0"),
    (b"ce_id", b"a1b2"),
    (b"ce_source", b"/shop#1"),
    (b"ce_type", b"order.created"),
    (b"ce_subject", b'order 1 "%"'),
    (b"ce_time", b"2026-10-01T12:00:00.5Z"),
    (b"ce_dataschema", b"http://a/b#c"),
    (b"ce_tenant", b"acme"),
    (b"content-type", b"application/json; charset=utf-8"),
    (b"mesh-headers", b'{"traceparent":"00-1-2-01"}'),
    (b"kafka_other", b"\xff"),
)
USUAL: tuple[Record, ...] = (
    (b'{"a": 1}', USUAL_HEADERS),
    (None, USUAL_HEADERS[:4]),
    (b"", USUAL_HEADERS[3::-1]),
    (b"x" * 300, (*USUAL_HEADERS, (b"kafka_other", b""))),
)
"""What producers send: all of it is read by the native part."""

NAMES = (
    *(name for name, _ in USUAL_HEADERS),
    b"ce_data", b"ce_datacontenttype", b"ce_datacontentencoding", b"ce_schemaurl", b"ce_", b"ce_A", b"ce_a-b", b"ce_" + b"a" * 70,
    b"ce_x", b"ce", b"CE_id", b"mesh-kinds", b"Content-Type", b"", b"x", b"caf\xe9", "é".encode(),
)  # fmt: skip
VALUES = (
    None, b"", b"a", b"1.0", b"0.3", b"1.1", b"a/b", b"/a/b?c#d", b"http://a/b", b"a:b", b"1:b", b"::", b"%20", b"a b", b"a\tb",
    b"\x7f", b"\xe9", "é".encode(), b"application/json", b"application/cloudevents+json", b"Application/CloudEvents", b"text/plain;a=b",
    b"text/plain; a=b; c=d", b"text/plain ;a=b", b"text/plain;", b'text/plain;a="b"', b"text/", b"/plain", b"a/b/c", b"a/b; c", b"a/b; =c",
    b"2026-10-01T12:00:00Z", b"2026-02-29T12:00:00Z", b"2026-10-01T24:00:00Z", b"2026-10-01T12:00:00+01:00", b"2026-10-01T12:00:00.Z",
    b"2026-06-31T12:00:00Z", b"2026-12-31T12:00:00.5-23:60",
    b'{"flag":"boolean"}', b"[]", b"x" * 200,
)  # fmt: skip


def record(chance: random.Random) -> Record:
    """A record whose headers are usual, and sometimes others."""
    headers = list(USUAL_HEADERS)
    for _ in range(chance.randrange(3)):
        headers.insert(chance.randrange(len(headers) + 1), (chance.choice(NAMES), chance.choice(VALUES)))
    if chance.random() < 0.3:
        del headers[chance.randrange(len(headers))]
    return chance.choice((None, b"", b"x" * chance.randrange(400))), headers


def mutant(chance: random.Random) -> bytes:
    """A batch in which some bytes are others, or are not there, or are there twice."""
    raw = bytearray(batch(*(record(chance) for _ in range(chance.randrange(1, 4)))))
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                del raw[at : at + chance.randrange(9)]
            case 1:
                raw[at:at] = raw[at : at + chance.randrange(9)]
            case _:
                raw[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, raw[at] ^ 1 << chance.randrange(8)))
    if chance.random() < 0.5:
        raw[8:12] = (len(raw) - 12).to_bytes(
            4, "big", signed=True
        )  # what it says of its size is true, at least
    return bytes(raw)
