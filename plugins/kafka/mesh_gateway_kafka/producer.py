"""An idempotent producer: each batch once and in its partition's order, however often it must be sent.

aiokafka knows the cluster, connects and gives us our number; batches go over `Link`s of our own. Its producer sends the same, with
three tasks and two queues between a batch and the socket: with its checksum, a tenth of an event over Kafka (decision 12).

Every batch of a partition has the sequence number that follows the one before. A broker takes a batch with the number that it
waits for, calls one that it has taken already stored, and refuses any other. So a number is never used for two batches, unless the
first was certainly not stored: the second would be called stored, and be lost.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition, errors
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.transaction import InitProducerIdRequest

from mesh_gateway_kafka import faults
from mesh_gateway_kafka.batches import Batch, natively
from mesh_gateway_kafka.connection import REQUEST_MS, RETRY_MS, Connection
from mesh_gateway_kafka.consumer import Client
from mesh_gateway_kafka.link import Links, NotAsked
from mesh_gateway_kafka.produce import Place, Produce

log = logging.getLogger(__name__)

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""As a batch's attributes have them."""

BESIDE = 4096
"""Bytes of a request beside its batches, of which the largest has the size of the largest record."""

NO_EXPIRY = 2**31 - 1


class Unknown(errors.KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A batch was refused, and an attempt before that may have stored it."""


@dataclass(slots=True)
class _Sending:
    """A batch on its way."""

    place: Place
    raw: bytearray
    is_nowhere: bool = True
    """No attempt can have stored it: none was made, or each was refused so that this is certain."""


class Producer:
    """Sends batches to the leaders of their partitions. `send` may be called concurrently, once at a time for each partition."""

    def __init__(self, connection: Connection, *, compression: str, most: int) -> None:
        self.client = Client(**connection.settings)
        self._links = Links(self.client)
        self._ways: dict[int, Produce] = {}
        self._compression, self._most = compression, most
        self._id, self._epoch = -1, -1
        self._sequences: dict[Place, int] = {}
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Know the cluster, and be known to it. Raises `KafkaError`; whoever starts it gives the time, and closes it then."""
        await self.client.bootstrap()
        while not await self._is_numbered():
            await self._pause(asks=True)

    async def _is_numbered(self) -> bool:
        """Ask for our number; False when it is to be asked for again."""
        try:
            node = self.client.get_random_node()
            answer = await self.client.send(node, InitProducerIdRequest(None, NO_EXPIRY))
        except errors.KafkaError as error:
            why = error
        else:
            why = _meant(answer.error_code)
            if why is None:
                self._id, self._epoch = answer.producer_id, answer.producer_epoch
                return True
        if not why.retriable:
            raise why
        log.info("no number for a producer yet: %s", why)
        return False

    async def close(self) -> None:
        """Disconnect. Whoever still sends learns so, and whether what it sends is certainly not stored."""
        if not self._closed.done():
            self._closed.set_result(None)
        await self._links.close()
        await self.client.close()

    async def partitions_for(self, topic: str) -> set[int]:
        """The partitions of a topic, asked for when it is not known yet. Raises `KafkaError`."""
        found: set[int] = await self.client._wait_on_metadata(topic)
        return found

    def create_batch(self) -> Any:
        """An empty batch, for records as the compression asks for: see `batches.natively`."""
        if natively(self._compression):
            return Batch(self._most)
        return BatchBuilder(self._most, CODECS[self._compression])

    async def send(self, batch: Any, topic: str, partition: int) -> None:
        """Stored on all in-sync replicas when it returns. Raises `KafkaError`; nothing is stored for certain then when it is one of
        `faults.CERTAIN`. Tries again while that may help, for ever: the caller gives the time. Cancelled, nothing is known.
        """
        place = topic, partition
        sequence = self._sequences.get(place, 0)
        batch._set_producer_state(self._id, self._epoch, sequence)
        sending = _Sending(place, batch._build())
        self._sequences[place] = following(sequence, batch.record_count())
        try:
            await self._stored(sending)
        finally:
            if sending.is_nowhere:
                self._sequences[place] = sequence

    async def _stored(self, sending: _Sending) -> None:
        while (why := await self._failure(sending)) is not None:
            if not why.retriable:
                if sending.is_nowhere or not isinstance(why, faults.CERTAIN):
                    raise why
                raise Unknown(f"{why}; an attempt before that may have stored it") from why
            if not self._closed.done():
                log.warning("not stored yet in %s partition %d: %s", *sending.place, why)
            await self._pause(asks=why.invalid_metadata or isinstance(why, errors.NodeNotReadyError))

    async def _failure(self, sending: _Sending) -> errors.KafkaError | None:
        """Send it once to whoever leads its partition; why it is not stored."""
        if self._closed.done():
            return faults.Unsent("the producer is closed")
        topic, partition = sending.place
        leader = self.client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None or leader == -1:
            # A topic that was known because all were asked for is asked for by its name from now on.
            self.client.add_topic(topic)
            return errors.LeaderNotAvailableError("the partition has no leader")
        try:
            return await self._attempt(await self._way(leader), sending)
        except errors.KafkaError as error:
            return error

    async def _attempt(self, way: Produce, sending: _Sending) -> errors.KafkaError | None:
        """Why it is not stored, by the broker's own word. Raises `KafkaError` when there is none."""
        was_nowhere, sending.is_nowhere = sending.is_nowhere, False
        try:
            why = _meant(await way.add(sending.place, sending.raw))
        except NotAsked:
            sending.is_nowhere = was_nowhere
            raise
        if why is not None and isinstance(why, faults.CERTAIN):
            sending.is_nowhere = was_nowhere
        return why

    async def _way(self, node: int) -> Produce:
        link = await self._links.to(node)
        way = self._ways.get(node)
        if way is None or way.link is not link:
            way = self._ways[node] = Produce(link, most=self._most + BESIDE, milliseconds=REQUEST_MS)
        return way

    async def _pause(self, *, asks: bool) -> None:
        """Before another try; until the cluster's state is known anew, if what we know of it may be the cause."""
        await asyncio.sleep(RETRY_MS / 1000)
        if asks and not self._closed.done():
            refreshed = self.client.force_metadata_update()
            await asyncio.wait(
                [refreshed, self._closed], timeout=REQUEST_MS / 1000, return_when=asyncio.FIRST_COMPLETED
            )


def _meant(code: int) -> errors.KafkaError | None:
    """The error that a broker has said by its number; None for one that says that it is stored."""
    if code in (0, errors.DuplicateSequenceNumber.errno):  # now, or by an attempt before
        return None
    kind = errors.for_code(code)
    return kind(kind.description)


def following(sequence: int, count: int) -> int:
    """The number behind `count` records that begin with this one; behind the greatest comes 0, as in Kafka's own producer."""
    return (sequence + count) & 0x7FFFFFFF
