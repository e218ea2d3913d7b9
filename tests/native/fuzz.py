"""Mutants of usual input through every native part, for a build with a sanitizer, which ends the process at a stray byte.

python -m tests.native.fuzz SEED COUNT
"""

from __future__ import annotations

import contextlib
import random
import sys

from mesh_gateway_native import attributes as native_attributes
from mesh_gateway_native import deliveries as native_deliveries
from mesh_gateway_native import records as native_records
from mesh_gateway_native import requests as native_requests
from plugins.kafka.tests.alien import batch
from tests.native import attributes, deliveries, records
from tests.native import requests as usual


def requests(chance: random.Random) -> None:
    """One buffer, from anywhere in it on, within any limits."""
    raw = usual.mutant(chance)
    at = chance.choice((0, 0, chance.randint(-2, len(raw) + 2)))
    native_requests.plain_head(
        raw, at, chance.choice((8_192, chance.randrange(400))), chance.choice((100, 3))
    )
    native_requests.plain_head(raw[: chance.randrange(len(raw) + 1)], 0, 8_192, 100)


def deliver(chance: random.Random) -> None:
    """One event, with any limit."""
    event = deliveries.event(chance)
    most = chance.choice((8_192, chance.randrange(400)))
    native_deliveries.binary_request(
        deliveries.FIRST, event.attributes, event.headers, "tenant", event.data, most
    )


def judge(chance: random.Random) -> None:
    """The attributes of one event."""
    native_attributes.plainly_valid(attributes.event(chance))


def receive(chance: random.Random) -> None:
    """One batch, and its beginning."""
    raw = records.mutant(chance)
    native_records.usual_records(raw)
    native_records.usual_records(raw[: chance.randrange(len(raw) + 1)])
    if native_records.crc32c is not None:
        native_records.crc32c(memoryview(raw)[chance.randrange(len(raw) + 1) :])


def publish(chance: random.Random) -> None:
    """Some events in one batch, with any texts beside them."""
    written = []
    for _ in range(chance.randrange(4)):
        event = deliveries.event(chance)
        beside = (None, b"", b"x" * chance.randrange(200))
        with contextlib.suppress(UnicodeEncodeError):
            headers = native_records.record_headers(
                dict(event.attributes), chance.choice(beside), chance.choice(beside)
            )
            written.append((chance.choice(beside), event.data, headers))
    native_records.batch_records(written, chance.choice((0, 61)))


def run(chance: random.Random, count: int) -> None:
    """So many of each."""
    for _ in range(count):
        requests(chance)
        deliver(chance)
        judge(chance)
        receive(chance)
        publish(chance)


def main(seed: int, count: int) -> None:
    print(native_requests.__file__)
    assert all(native_requests.plain_head(raw, 0, 8_192, 100) for raw in usual.USUAL)
    event = deliveries.USUAL_EVENT
    assert native_deliveries.binary_request(b"", event.attributes, event.headers, "", event.data, 8_192)
    assert native_attributes.plainly_valid(attributes.USUAL)
    assert native_records.usual_records(batch(*records.USUAL))
    run(random.Random(seed), count)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
