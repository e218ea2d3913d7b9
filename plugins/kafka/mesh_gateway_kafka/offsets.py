"""Where groups are, and where a new one begins. A group exists for a topic once it has committed an offset on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest

from mesh_gateway.errors import ChannelGone, Unsupported
from mesh_gateway.transport.contract import Start
from mesh_gateway_kafka import faults, lenient
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.ending import IN_ORDER, stop_consumer
from mesh_gateway_kafka.subscription import consumer_settings

log = logging.getLogger(__name__)

COORDINATOR_SECONDS = 10.0
"""For a group's coordinator to be found: the first group of a cluster makes it create a topic of its own."""


class Offsets:
    """Reads and sets offsets beside the consumers. Safe to call concurrently; `open` and `close` have one owner."""

    def __init__(self, connection: Connection, admin: AIOKafkaAdminClient) -> None:
        self._connection = connection
        self._admin = admin
        self._probe = AIOKafkaConsumer(**consumer_settings(connection, "") | {"group_id": None})

    async def open(self) -> None:
        """Connect the consumer that asks for the ends of partitions. Raises `KafkaError`."""
        await self._probe.start()

    async def close(self, seconds: float = IN_ORDER) -> None:
        """Disconnect it; raises nothing."""
        await stop_consumer(self._probe, seconds)

    async def committed(self, group: str, topic: str) -> dict[TopicPartition, Any]:
        """Offset and metadata by partition, of those that the group has committed. Raises `TransportError`."""
        try:
            async with asyncio.timeout(COORDINATOR_SECONDS):
                while True:
                    try:
                        found = await self._admin.list_consumer_group_offsets(group)
                    except (
                        errors.GroupCoordinatorNotAvailableError,
                        errors.NotCoordinatorForGroupError,
                        errors.GroupLoadInProgressError,
                    ):
                        await asyncio.sleep(0.1)
                    else:
                        return {p: at for p, at in found.items() if p.topic == topic and at.offset >= 0}
        except errors.KafkaError as error:
            raise faults.meant(error, f"ask for the offsets of group {group}") from error
        except TimeoutError as error:
            raise faults.meant(error, f"find the coordinator of group {group}") from error

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """All partitions of the topic. Raises `ChannelGone`, `TransportError`."""
        try:
            [found] = await self._admin.describe_topics([topic])
        except errors.KafkaError as error:
            raise faults.meant(error, f"look at topic {topic}") from error
        if found["error_code"]:
            raise faults.by_code(found["error_code"], f"read topic {topic}")
        if not found["partitions"]:
            raise ChannelGone(f"topic {topic} has no partitions")
        return sorted(TopicPartition(topic, part["partition"]) for part in found["partitions"])

    async def bounds(self, topic: str) -> dict[TopicPartition, tuple[int, int]]:
        """First offset and the one after the last, by partition. Raises `TransportError`."""
        partitions = await self.partitions(topic)
        try:
            first = await self._probe.beginning_offsets(partitions)
            end = await self._probe.end_offsets(partitions)
        except errors.KafkaError as error:
            raise faults.meant(error, f"ask for the ends of topic {topic}") from error
        return {partition: (first[partition], end[partition]) for partition in partitions}

    async def begin(self, group: str, topic: str, start: Start) -> None:
        """Let the group begin at `start` on this topic, unless it is there already. Raises `TransportError`."""
        if await self.committed(group, topic):
            return
        try:
            await self.commit(group, await self._begins(topic, start))
        except (errors.CommitFailedError, errors.UnknownMemberIdError, errors.IllegalGenerationError):
            return  # another member has come first: the group is there now
        except errors.KafkaError as error:
            raise faults.meant(error, f"commit for group {group}") from error

    async def commit(self, group: str, offsets: Mapping[TopicPartition, Any]) -> None:
        """Commit for a group without being a member of it. Raises `KafkaError`, also when it has members."""
        consumer = AIOKafkaConsumer(**consumer_settings(self._connection, group))
        try:
            consumer.assign(list(offsets))
            await consumer.start()
            await consumer.commit(dict(offsets))
        finally:
            await stop_consumer(consumer, IN_ORDER)

    async def leave(self, group: str, member: str) -> None:
        """Take a member out of a group that it could not leave itself; the others need not wait for its session to
        end. Raises nothing: whoever is not there any more has left.
        """
        try:
            coordinator = await self._admin.find_coordinator(group)
            await self._admin._send_request(LeaveGroupRequest(group, member), coordinator)
        except errors.KafkaError as error:
            log.info("an earlier member of group %s stays until its session ends: %s", group, error)

    async def _begins(self, topic: str, start: Start) -> dict[TopicPartition, int]:
        bounds = await self.bounds(topic)
        if start.at == "earliest":
            return {partition: first for partition, (first, _) in bounds.items()}
        ends = {partition: end for partition, (_, end) in bounds.items()}
        if start.at == "latest":
            return ends
        if start.at == "timestamp":
            assert start.timestamp is not None
            return ends | await self._at(start.timestamp, list(bounds))
        return await self._at_position(start.position or "", bounds, ends)

    async def _at(self, moment: float, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset at or after this moment, of those partitions that have one."""
        try:
            found = await self._probe.offsets_for_times({p: round(moment * 1000) for p in partitions})
        except errors.KafkaError as error:
            raise faults.meant(error, "ask for offsets of a moment") from error
        return {partition: at.offset for partition, at in found.items() if at is not None}

    async def _at_position(
        self, position: str, bounds: Mapping[TopicPartition, tuple[int, int]], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """The named partition at that offset; the others at the moment of that record: a position is of one partition."""
        number, _, offset = position.partition(":")
        chosen = next((p for p in bounds if str(p.partition) == number), None)
        if not offset.isdecimal() or chosen is None:
            raise Unsupported(
                f"{position!r} is no position of this topic; positions are partition:offset, such as 0:17"
            )
        at = min(max(int(offset), bounds[chosen][0]), bounds[chosen][1])
        others = [partition for partition in bounds if partition != chosen]
        when = await self.moment(chosen, at, bounds[chosen][1]) if others else None
        begins = ends if when is None else ends | await self._at(when, others)
        return {**begins, chosen: at}

    async def moment(self, partition: TopicPartition, offset: int, end: int) -> float | None:
        """When the record at this offset, or the next that can be read, was written; None at the end. Raises
        `TransportError`.
        """
        if offset >= end:
            return None
        try:
            async with aclosing(records(self._connection, partition, offset, end)) as found:
                async for record in found:
                    return float(record.timestamp) / 1000
        except errors.KafkaError as error:
            raise faults.meant(error, f"read topic {partition.topic}") from error
        return None


async def records(
    connection: Connection, partition: TopicPartition, begin: int, end: int
) -> AsyncGenerator[Any, None]:
    """The records of one partition from `begin` up to but not including `end`, in order, outside of any group.

    Raises `KafkaError`; ends early when nothing more comes within `COORDINATOR_SECONDS`.
    """
    if begin >= end:
        return  # and a consumer that is stopped before it has done anything cancels whoever stops it
    consumer = AIOKafkaConsumer(**consumer_settings(connection, "") | {"group_id": None})
    try:
        await consumer.start()
        consumer.assign([partition])
        consumer.seek(partition, begin)
        while (at := await consumer.position(partition)) < end:
            try:
                found = await consumer.getmany(
                    partition, timeout_ms=int(COORDINATOR_SECONDS * 1000), max_records=500
                )
            except UnicodeDecodeError:
                read, behind = await lenient.reread(consumer, partition, at)
                consumer.seek(partition, behind)
                found = {partition: read} if behind > at else {}
            if not found:
                return
            for record in found[partition]:
                if record.offset >= end:
                    return
                yield record
    finally:
        await stop_consumer(consumer, IN_ORDER)
