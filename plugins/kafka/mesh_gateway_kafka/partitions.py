"""The partitions of one member across rebalances: a `Watermark` for each, kept where nobody else had the partition.

aiokafka revokes and assigns everything at every rebalance. Whatever is in flight then would be handed out
again and be delivered twice. So the watermarks outlive the revocation, and are dropped only when the partition
went away, or when somebody else has committed to it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors

from mesh_gateway_kafka.watermark import Watermark

log = logging.getLogger(__name__)

CALLBACK_SECONDS = 5.0
"""For a callback of a rebalance: the whole group waits for the slowest member (its rebalance timeout is 30 s)."""


class Partitions(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The watermarks of one consumer; told by aiokafka of every rebalance. Its callbacks raise nothing."""

    def __init__(self, commit: Callable[[], Awaitable[object]], revoked: Callable[[], None]) -> None:
        self.watermarks: dict[TopicPartition, Watermark] = {}
        self.steady = asyncio.Event()
        """Set while the assignment is known and `watermarks` fit it."""
        self.consumer: AIOKafkaConsumer | None = None
        self._commit = commit
        self._revoked = revoked

    def to_commit(self) -> dict[TopicPartition, int]:
        """What has moved since it was committed, of the partitions that are ours."""
        return {
            partition: watermark.position
            for partition, watermark in self.watermarks.items()
            if not watermark.dropped and watermark.position != watermark.committed and watermark.next > 0
        }

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """The group knows these now."""
        for partition, offset in offsets.items():
            watermark = self.watermarks.get(partition)
            if watermark is not None:
                watermark.committed = offset

    def forget(self, partition: TopicPartition) -> None:
        """Its log is another one than we have read: the same offsets are other records now."""
        if partition in self.watermarks:
            self.watermarks[partition].dropped = True
            self.watermarks[partition] = Watermark(None)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit what is done while we may; from now on nothing is handed out until the next assignment."""
        if revoked:
            try:
                async with asyncio.timeout(CALLBACK_SECONDS):
                    await self._commit()
            except (TimeoutError, errors.KafkaError) as error:
                log.info("what was settled last is not committed before the rebalance: %s", error)
        self.steady.clear()
        self._revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Keep the watermarks of partitions that nobody else has touched; the others begin at what is committed."""
        assigned = set(assigned)
        for partition in set(self.watermarks) - assigned:
            self.watermarks.pop(partition).dropped = True
        try:
            async with asyncio.timeout(CALLBACK_SECONDS):
                found = await self._committed_offsets(assigned)
        except (TimeoutError, errors.KafkaError) as error:
            log.warning(
                "cannot ask for committed offsets, everything in flight will be delivered again: %s", error
            )
            found = dict.fromkeys(assigned, -1)
        for partition in assigned:
            watermark = self.watermarks.get(partition)
            committed = found[partition]
            if watermark is None or watermark.committed != committed:
                if watermark is not None:
                    watermark.dropped = True
                self.watermarks[partition] = Watermark(None if committed == -1 else committed)
        self.steady.set()

    async def _committed_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int | None]:
        assert self.consumer is not None
        order = list(partitions)
        found = await asyncio.gather(*(self.consumer.committed(partition) for partition in order))
        return dict(zip(order, found, strict=True))
