"""Records whose headers have names that are not UTF-8. Kafka takes them; aiokafka reads nothing of a batch that has one.

    getmany ─▶ UnicodeDecodeError ─▶ reread: the same batches, asked for once more and read by `Batch`

Whoever reads the usual way pays nothing for it. The range of versions in pyproject is narrow for the sake of the
private names here.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

from mesh_gateway_kafka.fetched import Records

BYTES = 2**20
"""Of a partition in one answer. Kafka gives a first batch that is larger all the same."""

LEGACY = 2
"""Formats of batches below this one have no headers."""


def refused(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """The partitions of which `getmany` has just met a name that it cannot read."""
    return [
        partition
        for partition, found in consumer._fetcher._records.items()
        if isinstance(found, FetchResult) and found._partition_records._records_iterator.gi_frame is None
    ]


async def reread(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> tuple[list[Any], int]:
    """The records from `offset` on, and the offset behind them. Raises `KafkaError`.

    Nothing when the broker answers with an error: the usual way of reading meets it, too, and knows what to do.
    """
    client = consumer._client
    node = client.cluster.leader_for_partition(partition)
    if node is None or node == -1:
        return [], offset
    wanted = [(partition.topic, [(partition.partition, offset, BYTES)])]
    answer = await client.send(node, FetchRequest(0, 1, BYTES, READ_COMMITTED, wanted))
    [(_, [(_, error, _, *more)])] = answer.topics
    if error:
        return [], offset
    aborted = more[2] if answer.API_VERSION >= 11 else more[-2]
    found = Records(
        partition,
        Batches(more[-1]),
        aborted,
        offset,
        key_deserializer=None,
        value_deserializer=None,
        check_crcs=True,
        isolation_level=READ_COMMITTED,
    )
    return list(found), found.next_fetch_offset


class Batches(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka has no types
    """The batches of one answer."""

    def next_batch(self) -> Any:
        """The next one, or None."""
        raw = self._next_slice
        if raw is None or raw[self.MAGIC_OFFSET] < LEGACY:
            return super().next_batch()
        self._cache_next()
        return Batch(raw)


class Batch(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka has no types
    """A batch that reads any header: in a name, what is not UTF-8 becomes escapes."""

    def _read_msg(self, *_: Any) -> Any:
        buffer = self._buffer
        pos: int = self._pos

        def number() -> int:
            nonlocal pos
            found, pos = decode_varint(buffer, pos)
            return int(found)

        def text() -> bytes | None:
            nonlocal pos
            length = number()
            if length < 0:
                return None
            start, pos = pos, pos + length
            return bytes(buffer[start:pos])

        end = number() + pos
        pos += 1  # attributes, of which there are none
        since_first, since_base = number(), number()
        key, value = text(), text()
        headers = [((text() or b"").decode("utf-8", "backslashreplace"), text()) for _ in range(number())]
        if pos != end:
            raise ValueError(f"a record that ends at {end} was read up to {pos}")
        self._pos: int = end
        late = self.timestamp_type == self.LOG_APPEND_TIME
        moment = self.max_timestamp if late else self.first_timestamp + since_first
        return _DefaultRecordPy(
            self.base_offset + since_base, moment, self.timestamp_type, key, value, headers
        )
