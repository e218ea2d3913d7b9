"""Encoding and decoding one event of 1 KiB with eight attributes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mesh_gateway.wire import http, json, stored
from tests.bench import events
from tests.bench.measure import cpu
from tests.bench.rows import Row, Sample
from tests.bench.sitting import Sitting


def run(sitting: Sitting) -> Iterator[Row]:
    limits = http.Limits()
    event = events.event()
    structured = json.encode(event)
    batch = json.encode_batch([event] * 100)
    raw = stored.encode(event)

    def once() -> list[Sample]:
        with sitting.watched(os.getpid(), "codec"):
            return [
                Sample("HTTP binary → event", cpu(lambda: http.decode(events.HEADERS, events.BODY, limits))),
                Sample("event → HTTP binary head", cpu(lambda: http.binary_head(event))),
                Sample("structured → event", cpu(lambda: json.decode(structured))),
                Sample("event → structured", cpu(lambda: json.encode(event))),
                Sample(
                    "batch of 100 → events",
                    cpu(lambda: json.decode_batch(batch, 1_000, 2**20), count=200) / 100,
                    note="each",
                ),
                Sample("event → stored", cpu(lambda: stored.encode(event))),
                Sample("stored → event", cpu(lambda: stored.decode(raw))),
            ]

    yield from sitting.rows(once)
