"""Things due later come in order, once, and only when their moment has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.delivery.schedule import Schedule
from mesh_gateway.testing.clock import ManualClock, ManualTimer


def test_items_come_in_the_order_of_their_moments():
    clock, due = ManualClock(), list[str]()
    schedule = Schedule(clock, due.append)
    schedule.add("late", 3)
    schedule.add("soon", 1)
    clock.advance(0.9)
    assert due == []
    clock.advance(0.2)
    assert due == ["soon"]
    clock.advance(5)

    assert due == ["soon", "late"]
    assert len(schedule) == 0


def test_of_the_same_moment_the_first_to_be_added_comes_first():
    clock, due = ManualClock(), list[str]()
    schedule = Schedule(clock, due.append)
    for item in "abc":
        schedule.add(item, 1)
    clock.advance(1)

    assert due == ["a", "b", "c"]


class WholeMilliseconds(ManualClock):
    """As uvloop's: time is whole milliseconds, and a timer comes at the one that is nearest to its moment."""

    def __init__(self) -> None:
        super().__init__()
        self.set = 0

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> ManualTimer:
        self.set += 1
        assert self.set < 1_000, "set over and over"
        return super().call_at(round(when, 3), callback, *args)


@given(st.lists(st.integers(0, 500).map(lambda tenths: tenths / 10_000), min_size=1, max_size=20))
def test_a_timer_that_comes_half_a_millisecond_early_is_set_once_more_and_not_over_and_over(waits):
    clock, due = WholeMilliseconds(), list[float]()
    schedule = Schedule(clock, due.append)
    for wait in waits:
        schedule.add(wait, wait)
    clock.advance(0.06)

    assert due == sorted(waits)
    assert clock.set <= 3 * len(waits), (
        "for an item that becomes the first, when the one before it is gone, and when its timer came early"
    )


def test_what_is_cleared_never_comes():
    clock, due = ManualClock(), list[str]()
    schedule = Schedule(clock, due.append)
    schedule.add("a", 2)
    schedule.add("b", 1)

    assert schedule.clear() == ["b", "a"]
    clock.advance(10)
    assert due == []


def test_what_is_taken_is_told_with_the_time_that_was_left_and_never_comes():
    clock, due = ManualClock(), list[str]()
    schedule = Schedule(clock, due.append)
    schedule.add("late", 5)
    schedule.add("soon", 3)
    clock.advance(1)

    assert schedule.take() == [(2.0, "soon"), (4.0, "late")]
    assert all(timer.cancelled for _, _, timer, *_ in clock._timers), "nothing is waited for any more"
    clock.advance(10)
    assert due == []


class BusyClock(ManualClock):
    """Of a loop that is behind with its timers."""

    behind = 0.0

    def time(self) -> float:
        return super().time() + self.behind


def test_what_is_overdue_when_it_is_taken_has_no_time_left():
    clock = BusyClock()
    schedule = Schedule(clock, list[str]().append)
    schedule.add("x", 1)
    clock.behind = 5

    assert schedule.take() == [(0.0, "x")]


def test_an_item_may_be_scheduled_again_while_it_is_handed_out():
    clock, due = ManualClock(), list[str]()

    def again(item: str) -> None:
        due.append(item)
        if len(due) < 3:
            schedule.add(item, 1)

    schedule = Schedule(clock, again)
    schedule.add("x", 1)
    clock.advance(10)

    assert due == ["x", "x", "x"]


@given(st.lists(st.floats(0, 100), max_size=30), st.lists(st.floats(0, 20), max_size=20))
def test_nothing_comes_early_and_nothing_is_forgotten(waits, steps):
    clock = ManualClock(0)
    came: list[tuple[float, float]] = []
    schedule: Schedule[float] = Schedule(clock, lambda moment: came.append((moment, clock.time())))
    for wait in waits:
        schedule.add(wait, wait)
    for step in steps:
        clock.advance(step)
    clock.advance(200)

    assert sorted(moment for moment, _ in came) == sorted(waits)
    assert all(at >= moment for moment, at in came)
