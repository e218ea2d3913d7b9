"""Fetches in one piece say and are answered what aiokafka's own would say and be answered."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v10, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka.fetches import Answer, Fetch, Question

int16s, int32s, int64s = (st.integers(-(2**bits), 2**bits - 1) for bits in (15, 31, 63))
names = st.text(max_size=20)


def topics(partition: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(names, st.lists(partition, max_size=4)), max_size=3)


wanted = topics(st.tuples(int32s, int64s, int32s))
aborted = st.lists(st.tuples(int64s, int64s), max_size=3)
found = topics(
    st.tuples(int32s, int16s, int64s, int64s, int64s, aborted, int32s, st.binary(max_size=40)),
)


@given(int32s, int32s, int32s, st.sampled_from([0, 1]), wanted, names)
def test_a_fetch_is_written_as_aiokafka_writes_it(wait, fewest, most, isolation, topics, rack):
    newest = {FetchRequest.API_KEY: (4, 17)}
    ours, theirs = (kind(wait, fewest, most, isolation, topics, rack) for kind in (Fetch, FetchRequest))

    assert type(ours.prepare(newest)) is Question
    assert ours.prepare(newest).encode() == theirs.prepare(newest).encode()


def test_an_older_broker_is_asked_in_its_own_version():
    assert type(Fetch(1, 1, 1, 1, []).prepare({FetchRequest.API_KEY: (4, 10)})) is FetchRequest_v10


@given(int32s, int16s, int32s, found, st.binary(max_size=8))
def test_an_answer_is_read_as_aiokafka_reads_it_but_for_partitions_without_news(
    wait, error, session, topics, before
):
    raw = FetchResponse_v11(wait, error, session, topics).encode()
    rest = BytesIO(before + raw)
    rest.seek(len(before))

    ours, theirs = Answer.decode(rest), FetchResponse_v11.decode(raw)

    news = [(topic, [one for one in found if one[1] or one[-1]]) for topic, found in theirs.topics]
    assert ours == FetchResponse_v11(wait, error, session, news)


def test_no_list_and_no_records_are_as_good_as_empty_ones():
    def raw(aborted: Any, records: Any) -> BytesIO:
        return BytesIO(FetchResponse_v11(0, 0, 0, [("t", [(0, 7, 1, 1, 1, aborted, -1, records)])]).encode())

    assert Answer.decode(raw(None, None)) == Answer.decode(raw([], b""))


def test_an_answer_that_ends_too_early_is_refused():
    raw = FetchResponse_v11(0, 0, 0, [("t", [(0, 0, 1, 1, 1, [(1, 2)], -1, b"records")])]).encode()

    for end in range(len(raw)):
        with pytest.raises((ValueError, struct.error)):
            Answer.decode(BytesIO(raw[:end]))
