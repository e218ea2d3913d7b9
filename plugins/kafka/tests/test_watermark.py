"""What may be committed: never past an event that is not settled, whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka.watermark import Watermark


def test_the_position_stops_before_the_first_unsettled_event():
    watermark = Watermark(committed=10)
    for offset in (10, 11, 12):
        assert watermark.hand_out(offset)

    assert not watermark.settle(12)
    assert watermark.position == 10
    assert watermark.settle(10)
    assert watermark.position == 11
    assert watermark.settle(11)
    assert watermark.position == 13
    assert watermark.held == 0


def test_what_comes_again_after_a_rebalance_is_not_handed_out_twice():
    watermark = Watermark(committed=None)
    assert watermark.hand_out(5)
    assert not watermark.hand_out(5)
    assert not watermark.hand_out(3)
    assert watermark.hand_out(9), "gaps are normal: compaction, markers of transactions"


def test_settling_for_a_partition_that_went_away_does_nothing():
    watermark = Watermark(committed=0)
    watermark.hand_out(0)
    watermark.dropped = True

    assert not watermark.settle(0)
    assert watermark.position == 0


steps = st.lists(st.tuples(st.sampled_from(["hand", "settle"]), st.integers(0, 30)), max_size=120)


@given(st.none() | st.integers(0, 5), steps)
def test_it_does_what_a_plain_set_of_unsettled_offsets_would(committed, steps):
    watermark = Watermark(committed)
    unsettled: set[int] = set()
    highest = committed or 0
    given_out: list[int] = []
    for what, number in steps:
        if what == "hand":
            offset = highest + number % 3
            assert watermark.hand_out(offset)
            unsettled.add(offset)
            given_out.append(offset)
            highest = offset + 1
        elif given_out:
            offset = given_out[number % len(given_out)]
            watermark.settle(offset)
            unsettled.discard(offset)
        assert watermark.position == min(unsettled, default=highest)
        assert watermark.next == highest
        assert all(watermark.is_settled(offset) == (offset not in unsettled) for offset in given_out)
