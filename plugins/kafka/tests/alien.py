"""Batches as a producer makes them that does not care about UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

Record = tuple[bytes | None, Sequence[tuple[bytes, bytes | None]]]
"""Value and headers."""


class Name(str):
    """The name of a header that is any bytes."""

    __slots__ = ("raw",)
    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        name = super().__new__(cls, "?")
        name.raw = raw
        return name

    def encode(self, *_: object) -> bytes:
        return self.raw


def batch(*records: Record, compression: int = 0, first_key: bytes | None = None) -> bytes:
    """A batch of these records, as it is on the wire."""
    builder = _DefaultRecordBatchBuilderPy(
        2,
        compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**20,
    )
    for offset, (value, headers) in enumerate(records):
        builder.append(
            offset,
            1_000 + offset,
            b"key%d" % offset if offset else first_key,
            value,
            [(Name(name), text) for name, text in headers],
        )
    return bytes(builder.build())


async def send(producer: AIOKafkaProducer, topic: str, partition: int, *records: Record) -> None:
    """Write them as one batch."""
    built: BatchBuilder = producer.create_batch()
    built.close()
    built._buffer, built._relative_offset = batch(*records), len(records)
    await (await producer.send_batch(built, topic, partition=partition))
