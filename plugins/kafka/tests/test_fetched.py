"""The records of an answer are those that aiokafka would have given, in whatever portions they are taken."""

from __future__ import annotations

import struct
from typing import Any

import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
import pytest
from aiokafka import TopicPartition, errors
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka import connection
from mesh_gateway_kafka.fetched import Batches, Records, Result
from mesh_gateway_kafka.fetches import Fetch
from mesh_gateway_kafka.records import event_of

from mesh_gateway import native
from mesh_gateway.errors import InvalidEvent
from plugins.kafka.tests.alien import Record, batch

needed = pytest.mark.skipif(native.PARTS.usual_records is None, reason=str(native.PARTS))
PLACE = TopicPartition("t", 0)
USUAL = [(b"ce_specversion", b"1.0"), (b"ce_id", b"1"), (b"ce_source", b"/s"), (b"ce_type", b"t")]
UNUSUAL = [*USUAL, ("ce_é".encode(), b"1")]
Theirs: Any = Records.__mro__[1]
"""aiokafka's own; its module has ours by now."""
TRANSACTIONAL, CONTROL = 0x10, 0x20
COMMIT = struct.pack(">hh", 0, 1)


def at(base: int, *records: Record, attributes: int = 0, producer: int = -1, **how: Any) -> bytes:
    """A batch of a log, where it stands there."""
    raw = bytearray(batch(*records, **how))
    struct.pack_into(">q", raw, 0, base)
    raw[22] |= attributes
    struct.pack_into(">q", raw, 43, producer)
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


def log(*batches: tuple[list[Record], dict[str, Any]]) -> bytes:
    """Batches that follow each other."""
    raw, base = b"", 0
    for records, how in batches:
        raw += at(base, *records, **how)
        base += len(records)
    return raw


def read(raw: bytes, offset: int = 0, aborted: Any = ()) -> tuple[Records, Any]:
    """By ours and by aiokafka."""
    settings: Any = (list(aborted), offset, None, None, True, READ_COMMITTED)
    return Records(PLACE, Batches(raw), *settings), Theirs(PLACE, MemoryRecords(raw), *settings)


def whole(records: Records, most: int = 100) -> list[Any]:
    """All of them, so many at a time."""
    found: list[Any] = []
    while not records.ended:
        portion = records.some(most)
        assert len(portion) <= most
        assert not portion or records.next_fetch_offset > portion[-1].offset
        found += portion
    return found


def shown(record: Any) -> tuple[Any, ...]:
    try:
        event: Any = event_of(record)
    except InvalidEvent as error:
        event = str(error)
    return record.offset, record.timestamp, record.key, record.value, event


records = st.lists(st.just((b"x", USUAL)) | st.just((None, UNUSUAL)), max_size=4)
batches = st.lists(
    st.tuples(records, st.fixed_dictionaries({"compression": st.sampled_from([0, 0, 0, 1, 4])})), max_size=4
)


@given(batches, st.integers(0, 12), st.integers(1, 5))
def test_records_are_those_of_aiokafka_from_any_offset_and_in_any_portions(batches, offset, most):
    ours, theirs = read(log(*batches), offset)

    assert [shown(one) for one in whole(ours, most)] == [shown(one) for one in theirs]
    assert ours.next_fetch_offset == theirs.next_fetch_offset


@needed
def test_a_usual_batch_is_read_at_once_and_in_any_other_aiokafka_reads_the_rest():
    usual, other = ([(b"x", USUAL)] * 3, {}), ([(b"x", UNUSUAL)], {})
    ours, _ = read(log(usual, other, usual))

    found = whole(ours)

    kinds = [type(one).__name__ for one in found]
    assert [one.offset for one in found] == list(range(7))
    assert kinds[:3] == ["UsualRecord"] * 3
    assert "UsualRecord" not in kinds[3:]


def test_what_a_transaction_took_back_is_left_out_and_what_it_kept_is_there():
    mine = {"attributes": TRANSACTIONAL, "producer": 7}
    raw = log(([(b"a", USUAL)], {}), ([(b"b", USUAL)], mine), ([(b"c", USUAL)], {}))

    for aborted, values in (([(7, 1)], [b"a", b"c"]), ([(8, 1)], [b"a", b"b", b"c"])):
        ours, theirs = read(raw, aborted=aborted)
        assert [one.value for one in whole(ours)] == [one.value for one in theirs] == values


def test_a_marker_of_a_transaction_is_no_record():
    marker = {"attributes": CONTROL | TRANSACTIONAL, "first_key": COMMIT}
    raw = log(([(b"a", USUAL)], {}), ([(b"b", [])], marker), ([(b"c", USUAL)], {}))
    ours, _ = read(raw)

    assert [one.value for one in whole(ours)] == [b"a", b"c"]


@needed
def test_a_damaged_batch_is_refused_and_what_comes_before_it_can_be_taken():
    raw = bytearray(log(([(b"a", USUAL)], {}), ([(b"b", USUAL)], {})))
    raw[-1] ^= 1
    ours, _ = read(bytes(raw))

    assert [one.value for one in ours.some(100)] == [b"a"]
    assert ours.next_fetch_offset == 1
    with pytest.raises(errors.CorruptRecordException):
        ours.some(100)


def test_a_batch_that_ends_too_early_is_left_for_the_next_fetch():
    raw = log(([(b"a", USUAL)], {}), ([(b"b", USUAL)], {}))
    ours, theirs = read(raw[:-1])

    assert [one.value for one in ours.some(100)] == [b"a"] == [one.value for one in theirs]
    assert ours.next_fetch_offset == theirs.next_fetch_offset == 1


def test_a_batch_that_is_none_is_refused_as_aiokafka_refuses_it():
    for raw in (b"", b"\0" * 11, struct.pack(">qi", 0, 3) + b"abc"):
        ours, theirs = Batches(raw), MemoryRecords(raw)
        assert (ours.has_next(), ours.size_in_bytes()) == (theirs.has_next(), theirs.size_in_bytes())
        if theirs.has_next():
            assert ours.usual() is None
            for batches in (ours, theirs):
                with pytest.raises(errors.CorruptRecordException):
                    batches.next_batch()


def test_a_consumer_of_this_plugin_reads_so():
    assert connection.consumer.Fetch is Fetch is aiokafka.consumer.fetcher.FetchRequest
    assert aiokafka.consumer.consumer.AIOKafkaClient is connection.consumer.Client
    assert aiokafka.consumer.fetcher.PartitionRecords is Records
    assert aiokafka.consumer.fetcher.FetchResult is Result
    assert aiokafka.consumer.fetcher.MemoryRecords is Batches
