"""A Kafka consumer group that is rebalanced again and again while deliveries are under way.

`MESH_REBALANCES` is how many; in `make test-faults` they are the 50 that are promised.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from mesh_gateway_kafka.records import event_of

from tests.faults.figures import counts
from tests.faults.scale import scaled, thorough
from tests.harness import PATIENCE, Producer, Subscriber, acknowledged_more, load, running
from tests.transports import KAFKA, Mesh, one_trigger

pytestmark = [thorough, pytest.mark.servers]

REBALANCES = scaled(6, 50, "MESH_REBALANCES")
PARTITIONS = 3
BREATH = 0.2


class Log:
    """The topic as it lies there, and what the group has committed of it."""

    def __init__(self, topic: str, group: str) -> None:
        self._topic, self._group = topic, group
        self._records = AIOKafkaConsumer(bootstrap_servers=KAFKA.server, enable_auto_commit=False)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=KAFKA.server)
        self._ids: dict[TopicPartition, list[str]] = {}
        self._checked: dict[TopicPartition, int] = {}
        self.looks = 0
        self._looking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._admin.start()
        await self._records.start()
        self._ids = {TopicPartition(self._topic, number): [] for number in range(PARTITIONS)}
        self._records.assign(list(self._ids))
        await self._records.seek_to_beginning()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._records.stop()
        await self._admin.close()

    async def watch(self, subscriber: Subscriber) -> None:
        """Look again and again whether an offset was committed before its event, and all before it, were answered."""
        while True:
            await self.check(subscriber)
            await asyncio.sleep(0.05)

    async def check(self, subscriber: Subscriber) -> dict[TopicPartition, int]:
        """One look; what is committed."""
        async with self._looking:
            return await self._check(subscriber)

    async def _check(self, subscriber: Subscriber) -> dict[TopicPartition, int]:
        committed = await self._admin.list_consumer_group_offsets(self._group)
        found = {partition: at.offset for partition, at in committed.items() if at.offset >= 0}
        answered = subscriber.answered  # it grows only, and is read after what was committed
        for partition, offset in found.items():
            for id in (await self._until(partition, offset))[self._checked.get(partition, 0) :]:
                assert id in answered, f"{partition} is committed up to {offset}, and {id} was never answered"
            self._checked[partition] = max(offset, self._checked.get(partition, 0))
        self.looks += 1
        return found

    async def _until(self, partition: TopicPartition, offset: int) -> list[str]:
        """The ids of the events before this offset."""
        ids = self._ids[partition]
        while len(ids) < offset:
            for where, records in (await self._records.getmany(timeout_ms=1000)).items():
                for record in records:
                    assert record.offset == len(self._ids[where])
                    self._ids[where].append(event_of(record).id)
        return ids[:offset]

    async def ends(self) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = await self._records.end_offsets(list(self._ids))
        return {partition: end for partition, end in found.items() if end}


@contextlib.asynccontextmanager
async def another_member(topic: str, group: str) -> AsyncIterator[None]:
    """Somebody joins the group, takes partitions and leaves without having read anything."""
    member = AIOKafkaConsumer(
        topic,
        bootstrap_servers=KAFKA.server,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(StickyPartitionAssignor,),
    )
    await member.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while not member.assignment():
                await asyncio.sleep(0.05)
        yield
    finally:
        await member.stop()


async def test_rebalances_lose_nothing_and_commit_nothing_that_is_not_settled(tmp_path: Path):
    KAFKA.skip_if_absent()
    mesh = Mesh(KAFKA, tmp_path)
    topic, group = f"{mesh.own}-default-b", f"{mesh.own}.default.b"
    async with Subscriber() as subscriber:
        gateway = mesh(documents(subscriber.url))
        async with running(gateway), Log(topic, group) as log, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(log.watch(subscriber))
            async with load(gateway, breath=BREATH) as producers:
                for _ in range((REBALANCES + 1) // 2):
                    await with_deliveries_under_way(subscriber, producers)
                    async with another_member(topic, group):
                        subscriber.answering.set()
                        await acknowledged_more(producers)
                        await with_deliveries_under_way(subscriber, producers)
                    subscriber.answering.set()
                await acknowledged_more(producers)
            acknowledged = {id for producer in producers for id in producer.acknowledged}
            await subscriber.received(lambda _: acknowledged <= subscriber.answered)
            async with asyncio.timeout(PATIENCE):
                while await log.check(subscriber) != await log.ends():
                    await asyncio.sleep(0.1)
            watching.cancel()
        counts(8, rebalances=REBALANCES, events=len(acknowledged), looks_at_what_is_committed=log.looks)
        assert log.looks > REBALANCES


def documents(url: str) -> str:
    """What the other member has held for long would be parked, and committed before it is answered; so it is blocked."""
    return one_trigger(url).replace(
        "metadata: {name: t}", "metadata: {name: t, annotations: {mesh-gateway.dev/overflow: block}}"
    )


async def with_deliveries_under_way(subscriber: Subscriber, producers: list[Producer]) -> None:
    """Returns with requests at the subscriber that it has not answered."""
    subscriber.answering.clear()
    await acknowledged_more(producers, 20)
    assert len(subscriber.requests) > len(subscriber.answered)
