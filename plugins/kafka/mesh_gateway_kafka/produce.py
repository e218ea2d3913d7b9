"""Produce requests: the batches that one turn of the loop has for a broker, in one request, and its word on each of them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from struct import Struct

from aiokafka import errors

from mesh_gateway_kafka import texts
from mesh_gateway_kafka.link import Link

PRODUCE = 0
NEWEST = 7
"""The last version whose answer is as short as here, and one that knows every compression. Brokers have known 3 since 0.11."""
_WITH_START = 5
"""From this version on an answer says where the log begins."""

_ASKED = Struct(">hhii")
"""Bytes of the transaction's name, who must have it, milliseconds for them, number of topics."""
_NONE, _ALL_IN_SYNC = -1, -1
_COUNT = Struct(">i")
_BATCH = Struct(">ii")
"""Partition, bytes of its batch."""
_SAID, _SAID_WITH_START = Struct(">ihqq"), Struct(">ihqqq")
"""Of a partition: number, error, its first offset, the moment, where the log begins."""

Place = tuple[str, int]
"""Topic and partition."""

Waiting = tuple[bytearray, asyncio.Future[int]]
"""A batch, and the broker's word on it, which is to come."""


class Produce:
    """The way of batches to one broker. `most` bytes of them go in one request, or one batch that is larger."""

    def __init__(self, link: Link, *, most: int, milliseconds: int) -> None:
        self.link = link
        self._version = min(NEWEST, link.versions[PRODUCE][1])
        self._most, self._milliseconds = most, milliseconds
        self._waiting: dict[Place, Waiting] = {}
        self._loop = asyncio.get_running_loop()

    def add(self, place: Place, batch: bytearray) -> asyncio.Future[int]:
        """The error code to come, 0 for stored on all in-sync replicas. Ends with a `KafkaError` when there is no answer.

        Batches of one partition go in the order in which they were added; whoever adds waits for one before the next.
        """
        # Whoever waited for the one that is there was cancelled; a request has one batch of a partition.
        if place in self._waiting:
            self._send()
        if not self._waiting:
            self._loop.call_soon(self._send)
        said: asyncio.Future[int] = self._loop.create_future()
        self._waiting[place] = batch, said
        return said

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for portion in portions(waiting, self._most):
            batches = {place: batch for place, (batch, _) in portion.items()}
            try:
                answer = self.link.ask(PRODUCE, self._version, request(batches, self._milliseconds))
            except errors.KafkaError as error:
                _fail(portion, error)
            else:
                answer.add_done_callback(partial(self._answered, portion))

    def _answered(self, portion: Mapping[Place, Waiting], answer: asyncio.Future[bytes]) -> None:
        error = answer.exception()
        if error is not None:
            _fail(portion, error)
            return
        try:
            codes = verdicts(answer.result(), self._version)
        except (struct.error, UnicodeDecodeError) as broken:
            why = errors.KafkaProtocolError(f"what came for a produce request is no answer: {broken}")
            self.link.lose(why)
            _fail(portion, why)
            return
        for place, (_, said) in portion.items():
            if not said.done():
                said.set_result(codes.get(place, errors.UnknownError.errno))


def _fail(portion: Mapping[Place, Waiting], error: BaseException) -> None:
    for _, said in portion.values():
        if not said.done():
            said.set_exception(error)


def portions(waiting: Mapping[Place, Waiting], most: int) -> Iterator[dict[Place, Waiting]]:
    """Of one request each, in their order."""
    portion: dict[Place, Waiting] = {}
    size = 0
    for place, one in waiting.items():
        size += len(one[0])
        if portion and size > most:
            yield portion
            portion, size = {}, len(one[0])
        portion[place] = one
    if portion:
        yield portion


def request(batches: Mapping[Place, bytearray], milliseconds: int) -> bytes:
    """The request, of any version from 3 to `NEWEST`, without its header."""
    topics: dict[str, list[tuple[int, bytearray]]] = {}
    for (topic, partition), batch in batches.items():
        topics.setdefault(topic, []).append((partition, batch))
    parts: list[bytes | bytearray] = [_ASKED.pack(_NONE, _ALL_IN_SYNC, milliseconds, len(topics))]
    for topic, partitions in topics.items():
        parts += (texts.written(topic), _COUNT.pack(len(partitions)))
        for partition, batch in partitions:
            parts += (_BATCH.pack(partition, len(batch)), batch)
    return b"".join(parts)


def verdicts(raw: bytes, version: int) -> dict[Place, int]:
    """Error codes by topic and partition. Raises `struct.error` or `UnicodeDecodeError` when it is no answer."""
    found: dict[Place, int] = {}
    said = _SAID_WITH_START if version >= _WITH_START else _SAID
    (topics,) = _COUNT.unpack_from(raw)
    at = _COUNT.size
    for _ in range(topics):
        topic, at = texts.read(raw, at)
        (count,) = _COUNT.unpack_from(raw, at)
        at += _COUNT.size
        for _ in range(count):
            partition, code, *_ = said.unpack_from(raw, at)
            found[topic, partition] = code
            at += said.size
    return found
