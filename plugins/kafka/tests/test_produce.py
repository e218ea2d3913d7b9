"""Produce requests say and are answered what aiokafka's own would say and be answered."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.protocol.produce import (
    ProduceRequest_v3,
    ProduceRequest_v7,
    ProduceResponse_v3,
    ProduceResponse_v4,
    ProduceResponse_v5,
    ProduceResponse_v6,
    ProduceResponse_v7,
)
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka.produce import Produce, portions, request, verdicts

ANSWERS = {
    kind.API_VERSION: kind
    for kind in (
        ProduceResponse_v3,
        ProduceResponse_v4,
        ProduceResponse_v5,
        ProduceResponse_v6,
        ProduceResponse_v7,
    )
}
places = st.tuples(st.text(max_size=20), st.integers(0, 2**31 - 1))
codes = st.integers(-(2**15), 2**15 - 1)


def by_topic(found: dict[tuple[str, int], Any]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    topics: dict[str, list[tuple[Any, ...]]] = {}
    for (topic, partition), one in found.items():
        topics.setdefault(topic, []).append((partition, one))
    return list(topics.items())


@given(st.dictionaries(places, st.binary(max_size=40).map(bytearray), max_size=6), st.integers(0, 2**31 - 1))
def test_a_request_is_written_as_aiokafka_writes_it(batches, milliseconds):
    topics = [(topic, [(p, bytes(raw)) for p, raw in found]) for topic, found in by_topic(batches)]

    for kind in (ProduceRequest_v3, ProduceRequest_v7):
        assert request(batches, milliseconds) == kind(None, -1, milliseconds, topics).encode()


@given(st.dictionaries(places, codes, max_size=6), st.sampled_from(sorted(ANSWERS)))
def test_an_answer_of_any_version_is_read_as_aiokafka_writes_it(said, version):
    more = (5, 7, 9) if version >= 5 else (5, 7)
    topics = [(topic, [(p, code, *more) for p, code in found]) for topic, found in by_topic(said)]

    assert verdicts(ANSWERS[version](topics, 0).encode(), version) == said


def test_an_answer_that_ends_too_early_is_refused():
    raw = ProduceResponse_v7([("topic", [(0, 0, 0, 0, 0)])], 0).encode()

    for end in range(len(raw) - 4):  # behind the partitions stands only how long we are asked to wait
        with pytest.raises(struct.error):
            verdicts(raw[:end], 7)


@given(st.lists(st.integers(1, 10), max_size=8), st.integers(1, 20))
def test_batches_are_portioned_in_their_order_and_no_portion_is_too_large_but_one_batch(sizes, most):
    waiting: Any = {("t", number): (b"x" * size, None) for number, size in enumerate(sizes)}

    found = list(portions(waiting, most))

    assert [place for portion in found for place in portion] == list(waiting)
    for portion in found:
        assert len(portion) == 1 or sum(len(one[0]) for one in portion.values()) <= most


class Asked:
    """A link that keeps what it is asked."""

    def __init__(self) -> None:
        self.versions = {0: (0, 9)}
        self.asked: list[tuple[int, int, bytes]] = []
        self.answers: list[asyncio.Future[bytes]] = []
        self.lost: Any = None

    def ask(self, what: int, version: int, body: bytes) -> asyncio.Future[bytes]:
        if self.lost:
            raise errors.KafkaConnectionError("gone")
        self.asked.append((what, version, body))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def lose(self, why: Exception) -> None:
        self.lost = why


def way() -> tuple[Produce, Asked]:
    link: Any = Asked()
    return Produce(link, most=1000, milliseconds=1), link


A, B = ("t", 0), ("t", 1)


def raw(**codes: int) -> bytes:
    return ProduceResponse_v7([("t", [(int(p[1:]), code, 0, 0, 0) for p, code in codes.items()])], 0).encode()


async def test_batches_of_one_turn_go_in_one_request_and_each_learns_its_own_code():
    produce, link = way()
    first, second = produce.add(A, bytearray(b"a")), produce.add(B, bytearray(b"b"))
    await asyncio.sleep(0)

    assert link.asked == [(0, 7, request({A: bytearray(b"a"), B: bytearray(b"b")}, 1))]
    link.answers[0].set_result(raw(p0=0, p1=6))

    assert (await first, await second) == (0, 6)


async def test_another_batch_of_the_same_partition_goes_after_the_first_in_a_request_of_its_own():
    produce, link = way()
    produce.add(A, bytearray(b"a")).cancel()
    second = produce.add(A, bytearray(b"b"))
    await asyncio.sleep(0)

    assert [body for _, _, body in link.asked] == [request({A: bytearray(one)}, 1) for one in (b"a", b"b")]
    link.answers[0].set_result(raw(p0=1))
    link.answers[1].set_result(raw(p0=0))
    assert await second == 0


async def test_a_partition_of_which_the_answer_says_nothing_is_unknown():
    produce, link = way()
    said = produce.add(A, bytearray(b"a"))
    await asyncio.sleep(0)

    link.answers[0].set_result(raw(p1=0))

    assert await said == errors.UnknownError.errno


async def test_what_is_no_answer_ends_the_connection_and_says_so():
    produce, link = way()
    said = produce.add(A, bytearray(b"a"))
    await asyncio.sleep(0)

    link.answers[0].set_result(b"\0\0")

    with pytest.raises(errors.KafkaProtocolError):
        await said
    assert isinstance(link.lost, errors.KafkaProtocolError)


@pytest.mark.parametrize("before", [True, False])
async def test_all_batches_learn_that_the_connection_is_lost(before):
    produce, link = way()
    link.lost = before and OSError("cut")
    said = [produce.add(A, bytearray(b"a")), produce.add(B, bytearray(b"b"))]
    await asyncio.sleep(0)
    if not before:
        link.answers[0].set_exception(errors.KafkaConnectionError("cut"))

    for one in said:
        with pytest.raises(errors.KafkaConnectionError):
            await one
