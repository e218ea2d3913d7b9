"""Batches of records: their header, written and read, and those whose records a native part writes.

To that part events come with their headers written, and all is copied once, when the batch is sent. Where there is none, or
batches are compressed, aiokafka's own builder writes them. The range of versions in pyproject is narrow for the sake of the private
names here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from struct import Struct

from aiokafka.record.util import calc_crc32c

from mesh_gateway import native

_HEAD = Struct(">qiibI")
"""First offset, bytes that follow, epoch of the leader, version of the format, checksum of all behind it."""
_BEHIND = Struct(">hiqqqhii")
"""Attributes, last offset, first and last moment, the producer, its epoch and sequence, number of records."""
HEADER = _HEAD.size + _BEHIND.size
"""Bytes of a batch before its records."""
_AFTER_SIZE = 12
_MAGIC, _NO_EPOCH = 2, -1
_NOT_PLAIN = 0x37
"""Attributes of a batch that is compressed, of a transaction, or of control."""

crc32c: Callable[[bytes | bytearray | memoryview], int] = native.PARTS.crc32c or calc_crc32c
"""The checksum of a batch. By the processor's instruction it costs 0.2 µs for 1,000 bytes instead of 0.7, once written and once
read."""

RECORD_OVERHEAD = 36
"""Bytes of a record beside its key, value and headers, at most."""


def natively(compression: str) -> bool:
    """Whether batches of this compression are written by the native part; then records are `encode_natively`."""
    return compression == "none" and native.PARTS.batch_records is not None


def plain(batch: memoryview) -> tuple[int, int] | None:
    """Its first and its last offset. None when it is in any way not plain: compressed, of a transaction, of control, damaged."""
    if len(batch) < HEADER:
        return None
    first, _, _, magic, checksum = _HEAD.unpack_from(batch)
    attributes, last, *_ = _BEHIND.unpack_from(batch, _HEAD.size)
    if magic != _MAGIC or attributes & _NOT_PLAIN or crc32c(batch[_HEAD.size :]) != checksum:
        return None
    return first, first + last


class Batch:
    """Stands in for aiokafka's `BatchBuilder`; all of its records are of the moment of the first."""

    def __init__(self, most: int) -> None:
        self._records: list[tuple[bytes | None, bytes | None, bytes]] = []
        self._count = 0
        self._size, self._most = HEADER, most
        self._moment = 0
        self._producer = (-1, -1, -1)
        self._closed = False
        self._buffer: bytearray | None = None

    def append(
        self, *, timestamp: None, key: bytes | None, value: bytes | None, headers: bytes
    ) -> object | None:
        """Take a record; None when it has no room any more. The first has, whatever its size."""
        if self._closed:
            return None
        size = self._size + RECORD_OVERHEAD + len(headers)
        if key:
            size += len(key)
        if value:
            size += len(value)
        if self._count == 0:
            self._moment = int(time.time() * 1000)
        elif size > self._most:
            self._closed = True
            return None
        self._size = size
        self._count += 1
        self._records.append((key, value, headers))
        return self

    def record_count(self) -> int:
        """Records that it has; also once it is written: a batch without any would count as stored."""
        return self._count

    def _set_producer_state(self, producer: int, epoch: int, sequence: int) -> None:
        self._producer = (producer, epoch, sequence)

    def _build(self) -> bytearray:
        self._closed = True
        if self._buffer is None:
            self._buffer = self._written()
        return self._buffer

    def _written(self) -> bytearray:
        assert native.PARTS.batch_records is not None
        count, moment = self._count, self._moment
        raw = native.PARTS.batch_records(self._records, HEADER)
        self._records = []
        _BEHIND.pack_into(raw, _HEAD.size, 0, count - 1, moment, moment, *self._producer, count)
        checksum = crc32c(memoryview(raw)[_HEAD.size :])
        _HEAD.pack_into(raw, 0, 0, len(raw) - _AFTER_SIZE, _NO_EPOCH, _MAGIC, checksum)
        return raw
