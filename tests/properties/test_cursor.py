"""A group's cursor against a plain set of settled numbers: the watermark never passes a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.transport.embedded.cursor import Cursor

numbers = st.integers(1, 30)
settles = st.lists(st.lists(numbers, max_size=6), max_size=20)


@given(settles)
def test_the_watermark_is_the_longest_settled_prefix_whatever_the_order(rounds):
    cursor, model = Cursor(0), set[int]()
    for one in rounds:
        cursor.settle(one)
        model |= set(one)

        prefix = 0
        while prefix + 1 in model:
            prefix += 1
        assert cursor.watermark == prefix
        assert cursor.beyond == {n for n in model if n > prefix}
        assert all(cursor.settled(n) == (n in model) for n in range(1, 31))
        assert cursor.unsettled_up_to(30) == 30 - len(model)


@given(settles, st.data())
def test_what_was_written_is_enough_to_know_everything_again(rounds, data):
    cursor = Cursor(0)
    watermark, beyond = 0, set[int]()
    for one in rounds:
        cursor.settle(one)
        if data.draw(st.booleans()):
            change = cursor.take()
            watermark = change.watermark
            beyond = {n for n in beyond | set(change.beyond) if n > watermark}
    change = cursor.take()
    watermark = change.watermark
    beyond = {n for n in beyond | set(change.beyond) if n > watermark}

    again = Cursor(watermark, beyond)
    assert (again.watermark, again.beyond) == (cursor.watermark, cursor.beyond)
    assert not again.dirty


@given(settles)
def test_a_change_that_could_not_be_written_is_given_again(rounds):
    cursor = Cursor(0)
    for one in rounds:
        cursor.settle(one)
        change = cursor.take()
        cursor.put_back(change)
        again = cursor.take()
        assert again.watermark == cursor.watermark
        assert {n for n in change.beyond if n in cursor.beyond} <= set(again.beyond)
