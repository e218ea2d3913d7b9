"""A batch that the native part reads holds what Python reads in it, to the last attribute; all others it leaves alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c
from mesh_gateway_kafka.records import decode, event_of

from mesh_gateway import native
from plugins.kafka.tests.alien import Record, batch
from tests.faults.scale import scaled
from tests.native.records import NAMES, USUAL, USUAL_HEADERS, VALUES, mutant, record

usual_records = native.PARTS.usual_records
pytestmark = pytest.mark.skipif(usual_records is None, reason=str(native.PARTS))


def shown(record: Any) -> tuple[Any, ...]:
    """All there is to a record and its event, in its order."""
    event = event_of(record)
    headers = event.headers and list(event.headers.items())
    attributes = list(event.attributes.items())
    return record.offset, record.timestamp, record.key, event.data, attributes, event.kinds, headers


def is_usual(raw: bytes) -> bool:
    """Whether the native part reads this batch. If it does, it has read what Python reads, and found no fault where Python
    finds one.
    """
    assert usual_records is not None
    found = usual_records(raw)
    if found is None:
        return False
    assert [shown(one) for one in found] == [shown(one) for one in DefaultRecordBatch(raw)]
    return True


def test_the_usual_batch_is_read():
    assert is_usual(batch())
    assert is_usual(batch(*USUAL))
    assert all(is_usual(batch(one)) for one in USUAL)
    assert is_usual(batch(*USUAL * 40)), "offsets and moments of more than one byte"


def test_a_batch_whose_moments_are_the_brokers_has_them():
    raw = bytearray(batch(*USUAL))
    raw[22] |= 0x08

    assert is_usual(bytes(raw))


@pytest.mark.parametrize("bit", [0x01, 0x02, 0x03, 0x04, 0x20])
def test_a_batch_that_is_compressed_or_of_control_is_left_alone(bit: int):
    raw = bytearray(batch(*USUAL))
    raw[22] |= bit

    assert not is_usual(bytes(raw))


def test_any_byte_anywhere_is_read_as_in_python_or_left_alone():
    raw = batch(USUAL[0])
    read = 0
    for at in range(len(raw)):
        for byte in range(256):
            read += is_usual(raw[:at] + bytes((byte,)) + raw[at + 1 :])

    assert 10_000 < read < 256 * len(raw) - 10_000


def test_any_header_is_read_as_in_python_or_left_alone():
    usual = dict(USUAL_HEADERS)
    read = 0
    for name in NAMES:
        for value in VALUES:
            changed = [*(usual | {name: value}).items()]
            read += is_usual(batch((b"x", changed)))
            read += is_usual(batch(USUAL[0], (b"x", [*USUAL_HEADERS, (name, value)])))

    assert 200 < read < 2 * len(NAMES) * len(VALUES) - 200


def test_a_header_that_is_missing_is_missed():
    required = [name for name, _ in USUAL_HEADERS[:4]]
    for missing in dict(USUAL_HEADERS):
        headers = [(name, value) for name, value in USUAL_HEADERS if name != missing]
        assert is_usual(batch((b"x", headers))) is (missing not in required)


def test_a_batch_that_is_cut_off_is_left_alone():
    raw = batch(USUAL[0])
    for end in range(len(raw)):
        size = max(end - 12, 0).to_bytes(4, "big")
        assert not is_usual(raw[:end])
        assert not is_usual((raw[:8] + size + raw[12:])[:end])


def test_records_of_any_kind_are_read_as_in_python_or_left_alone():
    chance = random.Random(7)
    count = scaled(1_000, 30_000)
    read = sum(is_usual(batch(record(chance), record(chance))) for _ in range(count))
    mutated = sum(is_usual(mutant(chance)) for _ in range(count))

    assert read > count / 50
    assert mutated > count / 50


def test_names_that_share_a_place_in_memory_stay_apart():
    """What is remembered is found by a hash of 512 values."""
    for number in range(2_000):
        one: Record = (b"x", [*USUAL_HEADERS[:4], (f"ce_x{number}".encode(), b"1")])
        assert usual_records is not None
        [found] = usual_records(batch(one)) or []
        assert found.attributes == decode(b"x", [(n.decode(), v or b"") for n, v in one[1]]).attributes


@pytest.mark.skipif(native.PARTS.crc32c is None, reason="the processor has no instruction for it")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_checksum_of_anything_is_aiokafkas(kind: Any):
    chance = random.Random(1)
    assert native.PARTS.crc32c is not None
    for size in (*range(40), 1_000, 100_003):
        data = chance.randbytes(size)
        assert native.PARTS.crc32c(kind(data)) == calc_crc32c(data)


@pytest.mark.skipif(native.PARTS.crc32c is None, reason="the processor has no instruction for it")
def test_the_checksum_of_what_has_no_bytes_is_refused():
    assert native.PARTS.crc32c is not None
    for what in ("text", None, 7, memoryview(b"abcd")[::2]):
        with pytest.raises((TypeError, BufferError)):
            native.PARTS.crc32c(what)  # type: ignore[arg-type]
