"""What is in a topic is read alike on the real broker, by the native part and in Python."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from mesh_gateway.event import Event
from mesh_gateway.testing.harness import numbered
from mesh_gateway.transport.contract import EARLIEST, SHARED, ChannelSpec, Delivery, Ensure, Subscription
from plugins.kafka.tests.alien import send

BROKER = ChannelSpec("n", "b")
PATIENCE = 30

pytestmark = pytest.mark.usefixtures("servers", "both_ways")


async def receive(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


async def test_events_come_as_they_were_published(make):
    tracing = {"traceparent": "00-1-2-01"}
    usual = numbered("usual")
    events = [
        usual,
        Event(usual.attributes | {"id": "keyed", "partitionkey": "k", "tenant": "acme"}, None, None, tracing),
        Event.new(type="t", source="/s", id="typed", subject="ä", flag=True, datacontenttype="text/plain"),
    ]
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    for event in events:
        await transport.publish(BROKER.name, [event])
    await transport.publish(BROKER.name, events)
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    found = await receive(subscription, 6)

    assert [delivery.event for delivery in found] == events * 2
    assert [delivery.event.headers for delivery in found] == [event.headers for event in events * 2]
    assert [delivery.position for delivery in found] == [f"0:{n}" for n in range(6)]
    assert [delivery.key for delivery in found] == ["0", "k", "0"] * 2
    assert all(delivery.enqueued_at for delivery in found)


async def test_a_producer_that_changes_its_mind_is_not_read(make, own, servers):
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=own)
    await producer.start()
    for name, commits in (("1", True), ("2", False), ("3", True)):
        await producer.begin_transaction()
        headers = [(f"ce_{name}", value.encode()) for name, value in numbered(name).attributes.items()]
        await producer.send_and_wait(f"{own}-n-b", b"x", headers=headers)
        await (producer.commit_transaction() if commits else producer.abort_transaction())
    await producer.stop()
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    found = await receive(subscription, 2)

    assert [delivery.event.id for delivery in found] == ["1", "3"]


async def test_a_usual_record_beside_junk_is_read(make, own, servers):
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    headers = [(f"ce_{name}".encode(), value.encode()) for name, value in numbered("1").attributes.items()]
    await send(producer, f"{own}-n-b", 0, (b"junk", []), (b"x", headers), (b"junk", [(b"\xff", b"")]))
    await producer.stop()
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    [found] = await receive(subscription, 1)

    assert (found.event.id, found.position) == ("1", "0:1")
