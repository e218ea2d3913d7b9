"""Fetch requests and their answers, at a price that does not grow with the partitions.

A consumer asks for all of its partitions in every fetch and all come back, most of them empty. aiokafka walks through a schema
for each field of each. So here the newest version of the request is written, and its answer read, in one piece (`consumer` has
consumers use them). The range of versions in pyproject is narrow for the sake of this, too.
"""

from __future__ import annotations

from io import BytesIO
from struct import Struct

from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11

from mesh_gateway_kafka import texts

_ASKED = Struct(">iiiibiii")
"""Replica, longest wait, fewest and most bytes, isolation, session and its epoch, number of topics."""
_WANTED = Struct(">iiqqi")
"""Of a partition: number, epoch of its leader, offset, where its log begins, most bytes."""
_ANSWERED = Struct(">ihii")
"""Time to wait, error, session, number of topics."""
_FOUND = Struct(">ihqqqi")
"""Of a partition: number, error, high watermark, last stable offset, where its log begins, number of aborted transactions."""
_USUALLY_FOUND = Struct(">ihqqqiii")
"""The same when there are no such transactions, with what follows then: the replica to be preferred, bytes of records."""
_ABORTED = Struct(">qq")
"""Producer, its first offset."""
_RECORDS = Struct(">ii")
"""The replica to be preferred, bytes of records."""
_COUNT = Struct(">i")

Aborted = list[tuple[int, ...]]
Found = tuple[int, int, int, int, int, Aborted, int, bytes]


class Answer(FetchResponse_v11):  # type: ignore[misc]  # aiokafka has no types
    """Reads itself in one piece: 8 µs instead of 40 with ten partitions.

    Partitions that have neither records nor an error are left out: aiokafka would note their watermarks, which nobody asks
    for, at 2 µs each.
    """

    @classmethod
    def decode(cls, data: BytesIO) -> Answer:
        """The answer that stands in the rest of `data`. Raises `ValueError` or `struct.error` if that is none."""
        raw = data.read()
        *head, topics = _ANSWERED.unpack_from(raw)
        at = _ANSWERED.size
        found: list[tuple[str, list[Found]]] = []
        for _ in range(topics):
            name, at = texts.read(raw, at)
            (count,) = _COUNT.unpack_from(raw, at)
            partitions, at = _partitions(raw, at + _COUNT.size, count)
            found.append((name, partitions))
        return cls(*head, found)


def _partitions(raw: bytes, at: int, count: int) -> tuple[list[Found], int]:
    found: list[Found] = []
    for _ in range(count):
        number, error, high, stable, begin, transactions, replica, size = _USUALLY_FOUND.unpack_from(raw, at)
        aborted: Aborted = []
        if transactions <= 0:  # -1 for none
            at += _USUALLY_FOUND.size
        else:
            aborted, at = _aborted(raw, at + _FOUND.size, transactions)
            replica, size = _RECORDS.unpack_from(raw, at)
            at += _RECORDS.size
        end = at + max(size, 0)  # -1 for none
        if end > len(raw):
            raise ValueError("a fetch's answer ends within its records")
        if end > at or error:
            found.append((number, error, high, stable, begin, aborted, replica, raw[at:end]))
        at = end
    return found, at


def _aborted(raw: bytes, at: int, count: int) -> tuple[Aborted, int]:
    end = at + count * _ABORTED.size
    return list(_ABORTED.iter_unpack(raw[at:end])), end


class Question(FetchRequest_v11):  # type: ignore[misc]
    """Writes itself in one piece: 7 µs instead of 35 with ten partitions."""

    RESPONSE_TYPE = Answer

    def encode(self) -> bytes:
        """As it goes to the broker, without its header."""
        asked = (self.replica_id, self.max_wait_time, self.min_bytes, self.max_bytes, self.isolation_level)
        parts = [_ASKED.pack(*asked, self.session_id, self.session_epoch, len(self.topics))]
        for topic, partitions in self.topics:
            parts += (texts.written(topic), _COUNT.pack(len(partitions)))
            parts += [_WANTED.pack(*wanted) for wanted in partitions]
        parts += (_COUNT.pack(0), texts.written(self.rack_id))  # no topics are forgotten: there is no session
        return b"".join(parts)


class Fetch(FetchRequest):  # type: ignore[misc]
    """The request in the version that the broker knows; the newest of them is `Question`."""


Fetch._CLASSES = (*FetchRequest._CLASSES[:-1], Question)
