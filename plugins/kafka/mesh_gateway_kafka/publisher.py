"""Publishing: one record batch for each partition that a publish touches, with a deadline and a verdict for each event.

The producer tries again for ever and never gives up a batch by itself; the deadline here says when *we* give up. What is
under way then is unknown, not failed: it may still land. The producer is replaced after that, and after an error it could
not recover from, so that nothing old stands before what comes next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from aiokafka import errors
from aiokafka.partitioner import murmur2

from mesh_gateway.errors import ConnectionLost, EventError, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway_kafka import faults
from mesh_gateway_kafka.batches import natively
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.ending import IN_ORDER, end_producer
from mesh_gateway_kafka.producer import Producer
from mesh_gateway_kafka.records import encode, encode_natively
from mesh_gateway_kafka.shares import Share, shares

KEYS = 4096
"""Keys whose partition hash is remembered: murmur2 in Python costs 5 µs for a key of 20 bytes."""


@dataclass(slots=True)
class Verdict:
    """What became of the events of one publish, by index."""

    failed: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    refused: dict[int, EventError] = field(default_factory=dict)
    error: TransportError | None = None

    def lose(self, indexes: Sequence[int], error: TransportError, *, certain: bool) -> None:
        (self.failed if certain else self.unknown).update(indexes)
        self.error = self.error or error

    def speak(self) -> None:
        """Raises `PublishError` unless everything is durable."""
        if self.failed or self.unknown or self.refused:
            why = self.error or next(iter(self.refused.values()))
            raise PublishError(
                str(why),
                failed=self.failed,
                unknown=self.unknown,
                refused=self.refused,
                retry_after=getattr(why, "retry_after", None),
            ) from why


class Publisher:
    """One producer for all topics. `publish` may be called concurrently; `open` and `close` have one owner.

    `exists` raises `TransportError` when there is no such topic, or we may not see it.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        compression: str,
        max_record_bytes: int,
        deadline: float,
        exists: Callable[[str], Awaitable[object]],
        make: Callable[..., Producer] = Producer,
    ) -> None:
        self._exists = exists
        self._make = partial(make, connection, compression=compression, most=max_record_bytes)
        self._encode = encode_natively if natively(compression) else encode
        self._deadline = deadline
        self._producer: Producer | None = None
        self._replacing = asyncio.Lock()
        self._turn = count()
        self._hashes: dict[bytes, int] = {}
        self._sending: dict[tuple[str, int], asyncio.Lock] = {}
        self._publishing = 0
        self._idle = asyncio.Event()
        self.replaced = 0
        """Producers that were given up."""

    async def open(self) -> None:
        """Start a producer. Raises `TransportError`."""
        producer = self._make()
        try:
            await producer.start()
        except errors.KafkaError as error:
            await end_producer(producer)
            raise faults.meant(
                error, "start an idempotent producer (IdempotentWrite, or Write on a topic)"
            ) from error
        except BaseException:
            await end_producer(producer)
            raise
        self._producer = producer

    async def close(self, seconds: float = IN_ORDER) -> None:
        """End the publishes that are under way within `seconds`, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self._publishing:
                        await self._idle.wait()
            await end_producer(producer)

    async def publish(self, topic: str, events: Sequence[Event], limit: int) -> None:
        """Durable on all in-sync replicas when it returns. Raises `PublishError`, or another
        `TransportError` when nothing was stored. A record of more than `limit` bytes is refused.
        """
        producer = await self._current()
        self._publishing += 1
        try:
            await self._publish(producer, topic, events, limit)
        finally:
            self._publishing -= 1
            if not self._publishing:
                self._idle.set()  # whoever waits looks again, and waits for the next if there is one by then
                self._idle.clear()

    async def _publish(self, producer: Producer, topic: str, events: Sequence[Event], limit: int) -> None:
        verdict = Verdict()
        pending = set(range(len(events)))
        try:
            async with asyncio.timeout(self._deadline):
                found = await self._shares(producer, topic, events, limit, verdict, pending)
                if len(found) == 1:
                    [(partition, share)] = found.items()
                    await self._send(producer, topic, partition, share, verdict, pending)
                else:
                    async with asyncio.TaskGroup() as tasks:
                        for partition, share in found.items():
                            tasks.create_task(self._send(producer, topic, partition, share, verdict, pending))
        except TimeoutError:
            why = ConnectionLost(f"Kafka has not confirmed within {self._deadline:g} s", retry_after=1)
            verdict.lose(sorted(pending), why, certain=False)
            await self._replace(producer)
        if verdict.error is not None and isinstance(verdict.error.__cause__, faults.FATAL):
            await self._replace(producer)
        verdict.speak()

    async def _current(self) -> Producer:
        if self._producer is None:
            async with self._replacing:
                if self._producer is None:
                    await self.open()
        assert self._producer is not None
        return self._producer

    async def _replace(self, producer: Producer) -> None:
        """Give this producer up; the next publish starts another. Others that use it learn what is known."""
        if self._producer is producer:
            self._producer = None
            self.replaced += 1
            await end_producer(producer)

    async def _shares(
        self,
        producer: Producer,
        topic: str,
        events: Sequence[Event],
        limit: int,
        verdict: Verdict,
        pending: set[int],
    ) -> dict[int, Share]:
        """Records by partition: of a key always the same one, without a key one that changes with every publish."""
        try:
            known = producer.client.cluster.partitions_for_topic(topic)
            if known is None:
                await self._exists(topic)  # raises at once what aiokafka would wait ten seconds for
                known = await producer.partitions_for(topic)
            partitions = len(known)
        except errors.KafkaError as error:
            raise faults.meant(error, f"publish to topic {topic}") from error
        found, refused = shares(
            events,
            self._encode,
            limit=limit,
            anywhere=next(self._turn) % partitions,
            place=lambda key: self._hash(key) % partitions,
        )
        verdict.refused |= refused
        pending.difference_update(refused)
        return found

    def _hash(self, key: bytes) -> int:
        """Kafka's own hash, so that a key lies where Java's and Knative's producers put it."""
        found = self._hashes.get(key)
        if found is None:
            if len(self._hashes) >= KEYS:
                self._hashes.clear()
            found = self._hashes[key] = murmur2(key) & 0x7FFFFFFF
        return found

    async def _send(
        self,
        producer: Producer,
        topic: str,
        partition: int,
        share: Share,
        verdict: Verdict,
        pending: set[int],
    ) -> None:
        """One partition's records, batch after batch: were the first lost and the second stored, order would be broken."""
        async with self._turns(topic, partition):
            await self._send_in_turn(producer, topic, partition, share, verdict, pending)

    def _turns(self, topic: str, partition: int) -> asyncio.Lock:
        """Publishes to one partition take turns: its batches are numbered, and one at a time is under way."""
        lock = self._sending.get((topic, partition))
        if lock is None:
            lock = self._sending[topic, partition] = asyncio.Lock()
        return lock

    async def _send_in_turn(
        self,
        producer: Producer,
        topic: str,
        partition: int,
        share: Share,
        verdict: Verdict,
        pending: set[int],
    ) -> None:
        at = 0
        while at < len(share):
            batch = producer.create_batch()
            indexes: list[int] = []
            while at < len(share):
                index, record = share[at]
                if (
                    batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
                    is None
                ):
                    break
                indexes.append(index)
                at += 1
            if not await self._deliver(producer, batch, topic, partition, indexes, verdict):
                pending.difference_update(indexes)
                rest = [index for index, _ in share[at:]]
                if rest:
                    assert verdict.error is not None
                    verdict.lose(rest, verdict.error, certain=True)
                    pending.difference_update(rest)
                return
            pending.difference_update(indexes)

    async def _deliver(
        self,
        producer: Producer,
        batch: Any,
        topic: str,
        partition: int,
        indexes: list[int],
        verdict: Verdict,
    ) -> bool:
        try:
            await producer.send(batch, topic, partition)
        except errors.KafkaError as error:
            meaning = faults.meant(error, f"publish to topic {topic}")
            meaning.__cause__ = error
            verdict.lose(indexes, meaning, certain=isinstance(error, faults.CERTAIN))
            return False
        return True
