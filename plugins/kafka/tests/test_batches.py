"""A batch that the native part writes is the one that aiokafka would have written."""

from __future__ import annotations

import time

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka import batches
from mesh_gateway_kafka.batches import Batch, natively
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.producer import Producer
from mesh_gateway_kafka.records import encode, encode_natively, event_of

from mesh_gateway import native
from mesh_gateway.event import Event
from plugins.kafka.tests.test_records import events

needed = pytest.mark.skipif(native.PARTS.batch_records is None, reason=str(native.PARTS))
MOST = 2**20
MOMENT = 1_800_000_000.5


def ours(*given: Event, most: int = MOST) -> Batch:
    batch = Batch(most)
    for event in given:
        key, value, headers = encode_natively(event)
        assert isinstance(headers, bytes)
        assert batch.append(timestamp=None, key=key, value=value, headers=headers)
    return batch


def theirs(*given: Event) -> BatchBuilder:
    batch = BatchBuilder(MOST, 0)
    for event in given:
        record = encode(event)
        batch.append(timestamp=int(MOMENT * 1000), key=record.key, value=record.value, headers=record.headers)
    return batch


def usual(id: str, size: int = 10) -> Event:
    return Event.new(type="t", source="/s", id=id, data=b"x" * size)


@needed
@given(st.lists(events, min_size=1, max_size=5))
def test_it_has_the_same_bytes(given):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: MOMENT)
        built = ours(*given)
        other = theirs(*given)
    for batch in (built, other):
        batch._set_producer_state(7, 1, 1_000)

    assert built._build() == other._build()


@needed
@given(events)
def test_a_record_is_of_the_same_size_or_larger_than_it_becomes(event):
    assert encode_natively(event).size >= len(ours(event)._build()) - batches.HEADER


@needed
def test_hundreds_of_events_come_back_in_order():
    raw = ours(*(usual(str(number), number) for number in range(300)))._build()

    read = DefaultRecordBatch(bytes(raw))
    assert read.validate_crc()
    assert [event_of(record) for record in read] == [usual(str(number), number) for number in range(300)]


@needed
def test_a_batch_that_is_full_takes_nothing_more():
    batch = ours(usual("1", 400), usual("2", 400), most=1_200)
    key, value, headers = encode_natively(usual("3", 400))

    assert batch.append(timestamp=None, key=key, value=value, headers=headers) is None
    assert batch.append(timestamp=None, key=None, value=None, headers=b"\0") is None
    assert batch.record_count() == 2
    assert len(batch._build()) <= 1_200


@needed
def test_the_first_record_is_taken_whatever_its_size():
    assert ours(usual("1", 400), most=100).record_count() == 1


@needed
def test_what_is_written_stays_for_another_try():
    """aiokafka takes a batch without records for stored, and sends the same bytes again after an error."""
    batch = ours(usual("1"))
    raw = batch._build()

    assert batch.record_count() == 1
    assert batch._build() is raw
    assert batch.append(timestamp=None, key=None, value=None, headers=b"\0") is None


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_what_is_compressed_or_cannot_be_written_natively_is_left_to_aiokafka(compression, monkeypatch):
    link = Connection(("127.0.0.1:1",), "test", "PLAINTEXT")

    async def made() -> type:
        producer = Producer(link, compression=compression, most=MOST)
        batch = producer.create_batch()
        await producer.close()
        return type(batch)

    assert await made() is (Batch if natively(compression) else BatchBuilder)
    assert natively(compression) is (compression == "none" and native.PARTS.batch_records is not None)
    monkeypatch.setattr(native, "PARTS", native.Parts())
    assert await made() is BatchBuilder
    assert not natively(compression)
