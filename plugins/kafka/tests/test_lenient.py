"""Headers with names that are not UTF-8: what is read of them, and that the partition goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record import MemoryRecords
from mesh_gateway_kafka.lenient import Batches

from mesh_gateway.event import Event
from mesh_gateway.testing.harness import numbered, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Purpose,
    Subscription,
)
from plugins.kafka.tests.alien import Record, batch, send

BROKER = ChannelSpec("n", "b")
LETTERS = ChannelSpec("n", "b", Purpose.DEAD_LETTERS, groups=(OPERATORS,))
PATIENCE = 30

COMPRESSIONS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def of(event: Event, *more: tuple[bytes, bytes]) -> Record:
    attributes = [(f"ce_{name}".encode(), value.encode()) for name, value in event.attributes.items()]
    return event.data, [*attributes, *more]


def read(kind: Any, raw: bytes) -> list[Any]:
    """All there is to know about each record, in order."""
    batches = kind(raw)
    found = []
    while batches.has_next():
        one = batches.next_batch()
        assert one.validate_crc()
        found += [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, list(r.headers)) for r in one]
    return found


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_what_aiokafka_can_read_is_read_alike(compression):
    raw = b"".join(
        batch(
            (b"x" * 500, [("ä".encode(), b"\xff"), (b"null", None)]),
            (None, []),
            (b"", [(b"", b"")]),
            compression=compression,
        )
        for _ in range(2)
    )

    assert read(Batches, raw) == read(MemoryRecords, raw)
    assert len(read(Batches, raw)) == 6


def test_a_name_that_is_not_utf_8_is_escaped():
    raw = batch((b"x", [(b"caf\xe9", b"1")]))

    [(*_, headers)] = read(Batches, raw)

    assert headers == [("caf\\xe9", b"1")]


# ── on the real broker ───────────────────────────────────────────────────────────────────────


@pytest.fixture
async def producer(servers: str):
    """Somebody else's producer."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    yield producer
    await producer.stop()


async def receive(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


async def test_a_name_that_is_not_utf_8_stops_no_partition(make, own, producer, unreadable):
    transport = make(partitions=2)
    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)
    for partition in (0, 1):
        topic = f"{own}-n-b", partition
        name = f"p{partition}-"
        await send(
            producer,
            *topic,
            of(numbered(name + "before")),
            of(numbered(name + "beside"), (b"caf\xe9", b"1")),
            (b"\x00junk", [(b"ce_\xff", b"1")]),
        )
        await send(producer, *topic, of(numbered(name + "after")))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    found = await receive(subscription, 6)
    await subscription.settle(found)
    async with asyncio.timeout(PATIENCE):
        while len(letters := await transport.browse(LETTERS.name, after=None, limit=10)) < 2:
            await asyncio.sleep(0.05)
    await subscription.close()

    for partition in ("p0-", "p1-"):
        ids = [delivery.event.id for delivery in found if delivery.event.id.startswith(partition)]
        assert ids == [partition + when for when in ("before", "beside", "after")]
    assert [letter.event.data for letter in letters] == [b"\x00junk"] * 2
    assert letters[0].event.attributes["meshheaders"] == '{"ce_\\\\xff": "1", "(key)": "key2"}'
    assert [channel for channel, _ in unreadable] == [BROKER.name] * 2
    assert (await transport.backlog(BROKER.name, SHARED)).events == 0


async def test_such_a_name_stops_nobody_who_looks_in_from_outside(make, own, producer):
    transport = make(partitions=1)
    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await subscription.close()
    junk: Record = (b"junk", [(b"\xff", b"1")])
    await send(producer, f"{own}-n-b", 0, junk)
    await send(producer, f"{own}-n-b.dead-letters", 0, junk)
    await transport.publish(LETTERS.name, series(1))

    letters = await transport.browse(LETTERS.name, after=None, limit=10)

    assert [letter.event.data for letter in letters] == [b"junk", series(1)[0].data]
    assert (await transport.backlog(BROKER.name, SHARED)).oldest_age is not None
