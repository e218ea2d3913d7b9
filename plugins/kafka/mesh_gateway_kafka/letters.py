"""Dead letters: a topic with one partition, browsed by offset. Which of them were removed is kept in the metadata of
the offset that the group `operators` has committed: everything below that offset, and the ranges in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any

from aiokafka import TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from mesh_gateway.errors import InvalidEvent, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Stored
from mesh_gateway.wire.unreadable import wrapped
from mesh_gateway_kafka import faults, topics
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.offsets import Offsets, records
from mesh_gateway_kafka.records import event_of

METADATA_LIMIT = 4096
"""Bytes of metadata that a broker keeps with an offset (offset.metadata.max.bytes, its default)."""

Gaps = tuple[int, frozenset[int]]
"""Everything below the number is removed, and the offsets in the set."""


class Letters:
    """The dead letters of one topic. Removals of two gateways at the same moment may undo one another: what was
    removed is then listed again, and nothing is lost.
    """

    def __init__(
        self,
        connection: Connection,
        admin: AIOKafkaAdminClient,
        offsets: Offsets,
        channel: str,
        topic: str,
        group: str,
    ) -> None:
        self._connection, self._admin, self._offsets, self._channel = connection, admin, offsets, channel
        self._partition = TopicPartition(topic, 0)
        self._group = group

    async def browse(self, after: str | None, limit: int) -> list[Stored]:
        """Up to `limit` letters behind position `after`, oldest first. Raises `TransportError`."""
        low, removed = await self._removed()
        first, end = (await self._offsets.bounds(self._partition.topic))[self._partition]
        begin = max(first, low, 0 if after is None else _offset(after) + 1)
        found: list[Stored] = []
        try:
            async with aclosing(records(self._connection, self._partition, begin, end)) as letters:
                async for record in letters:
                    if record.offset not in removed:
                        found.append(
                            Stored(f"0:{record.offset}", self._event(record), record.timestamp / 1000)
                        )
                    if len(found) >= limit:
                        break
        except errors.KafkaError as error:
            raise faults.meant(error, f"browse topic {self._partition.topic}") from error
        return found

    async def remove(self, positions: Sequence[str]) -> int:
        """Take these out; how many were there. Durable when it returns. Raises `TransportError`."""
        low, removed = await self._removed()
        first, end = (await self._offsets.bounds(self._partition.topic))[self._partition]
        low = max(low, first)
        fresh = {at for at in map(_offset, positions) if low <= at < end and at not in removed}
        if not fresh:
            return 0
        gone = removed | fresh
        while low in gone:
            low += 1
        text = written(at for at in gone if at > low)
        if len(text) > METADATA_LIMIT:
            raise Unsupported(
                "too many dead letters were removed from between others for Kafka to remember; redrive or remove the "
                "oldest ones first"
            )
        try:
            await self._offsets.commit(self._group, {self._partition: OffsetAndMetadata(low, text)})
            if low > first:
                await topics.trim(self._admin, {self._partition: low})
        except errors.KafkaError as error:
            raise faults.meant(error, f"remove from topic {self._partition.topic} (Delete)") from error
        return len(fresh)

    async def count(self) -> tuple[int, int | None]:
        """How many letters there are, and the offset of the oldest. Raises `TransportError`."""
        low, removed = await self._removed()
        first, end = (await self._offsets.bounds(self._partition.topic))[self._partition]
        low = max(low, first)
        there = end - low - sum(1 for at in removed if low <= at < end)
        return there, low if there else None

    def _event(self, record: Any) -> Event:
        """The letter; what somebody else wrote here and is no event is shown as it is."""
        try:
            return event_of(record)
        except InvalidEvent as error:
            position = f"0:{record.offset}"
            return wrapped(
                record.value or b"", channel=self._channel, position=position, why=str(error), headers={}
            )

    async def _removed(self) -> Gaps:
        found = (await self._offsets.committed(self._group, self._partition.topic)).get(self._partition)
        return (0, frozenset()) if found is None else (found.offset, frozenset(read(found.metadata)))


def written(offsets: Iterable[int]) -> str:
    """Offsets as ranges: `3-5,9`."""
    ranges: list[list[int]] = []
    for at in sorted(offsets):
        if ranges and ranges[-1][1] == at - 1:
            ranges[-1][1] = at
        else:
            ranges.append([at, at])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def read(text: str) -> list[int]:
    """The offsets that `written` wrote; nothing where somebody else wrote something else."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return []
        found += range(int(first), int(last or first) + 1)
    return found


def _offset(position: str) -> int:
    number, _, offset = position.rpartition(":")
    if number not in ("", "0") or not offset.isdecimal():
        raise Unsupported(
            f"{position!r} is no position of a dead letter; positions are 0:offset, such as 0:17"
        )
    return int(offset)
