"""A group's reading with the file in the test's hands: what is loaded arrives when the test says so."""

from __future__ import annotations

import pytest

from mesh_gateway.event import Event
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.channel import Channel
from mesh_gateway.transport.embedded.group import Group, Loaded
from mesh_gateway.transport.embedded.records import Page
from mesh_gateway.transport.embedded.store import Appended, StoredChannel, StoredGroup


class Reading:
    """One group `g` of a channel whose file holds events 1 to `head`."""

    def __init__(self, head: int) -> None:
        self.channel = Channel(StoredChannel(1, "ns/b", head=head))
        self.asked: list[tuple[int, int, Loaded]] = []
        self.clock = ManualClock()
        self.group = Group(
            self.channel,
            StoredGroup(1, "g", 0),
            load=lambda channel, first, last, limit, loaded: self.asked.append((first, last, loaded)),
            changed=lambda group: None,
            clock=self.clock,
        )
        self.channel.groups["g"] = self.group
        self.group.join()

    def answer(self, *numbers: int, through: int | None = None) -> None:
        """The oldest load finds these."""
        _, last, loaded = self.asked.pop(0)
        events = [(number, 0.0, event(number)) for number in numbers]
        loaded(Page(events, last if through is None else through, []), None)

    def take(self, limit: int = 100) -> list[int]:
        return [delivery.token for delivery in self.group.take(limit)]

    def hold(self, limit: int = 100) -> dict[int, Delivery]:
        return {delivery.token: delivery for delivery in self.group.take(limit)}

    def publish(self, count: int) -> None:
        first = self.channel.head + 1
        self.channel.committed([event(first + n) for n in range(count)], [1] * count, Appended(first, 0.0))


def event(number: int) -> Event:
    return Event.new(type="t", source="/s", id=str(number))


@pytest.fixture
def reading() -> Reading:
    return Reading(head=4)


def test_it_reads_on_only_once_at_a_time(reading):
    reading.take()
    reading.take()

    assert [(first, last) for first, last, _ in reading.asked] == [(1, 4)]


def test_what_arrives_for_an_earlier_reading_is_not_handed_out(reading):
    reading.take()
    reading.group.leave({})
    reading.group.join()
    reading.take()
    reading.answer(1, 2, 3, 4)
    assert reading.take() == [], "that was read for the one that left"

    reading.answer(1, 2, 3, 4)
    assert reading.take() == [1, 2, 3, 4]


def test_a_member_that_leaves_returns_what_it_held_and_nothing_else(reading):
    reading.take()
    reading.answer(1, 2, 3, 4)
    reading.group.join()
    held_by_one, held_by_other = reading.hold(2), reading.hold(1)
    assert list(held_by_other) == [3]

    reading.group.leave(held_by_one)

    assert reading.take() == [1, 2, 4]


def test_when_the_last_member_leaves_everything_unsettled_comes_again(reading):
    reading.take()
    reading.answer(1, 2, 3, 4)
    held = reading.hold()
    reading.group.settle([2])

    reading.group.leave(held)
    reading.group.join()
    reading.take()
    reading.answer(1, 2, 3, 4)

    assert reading.take() == [1, 3, 4]


def test_what_was_removed_while_it_was_read_is_not_handed_out(reading):
    reading.take()
    reading.channel.removed([2])
    reading.answer(1, 2, 3, 4)
    reading.channel.removed([3])

    assert reading.take() == [1, 4]


def test_numbers_without_a_row_count_as_settled(reading):
    reading.take()
    reading.answer(2)  # 1, 3 and 4 are gone

    assert reading.take() == [2]
    reading.group.settle([2])
    assert reading.group.cursor.watermark == 4


def test_a_page_that_stops_early_says_nothing_of_what_comes_after_it(reading):
    reading.take()
    reading.answer(1, 2, through=2)

    assert reading.take() == [1, 2]
    reading.group.settle([1, 2])
    assert reading.group.cursor.watermark == 2
    assert [(first, last) for first, last, _ in reading.asked] == [(3, 4)]


def test_it_goes_over_from_the_file_to_memory_without_a_gap(reading):
    reading.publish(2)
    reading.take()
    assert [(first, last) for first, last, _ in reading.asked] == [(1, 4)]
    reading.answer(1, 2, 3, 4)

    assert reading.take() + reading.take() == [1, 2, 3, 4, 5, 6]
    assert reading.asked == []


def test_memory_is_given_back_when_everybody_has_had_it(reading):
    reading.take()
    reading.answer(1, 2, 3, 4)
    reading.take()
    reading.publish(3)
    assert reading.channel.tail.first == 5
    reading.take(2)
    assert reading.channel.tail.first == 7


def test_nothing_is_kept_in_memory_when_nobody_reads(reading):
    reading.group.leave({})

    reading.publish(3)

    assert reading.channel.tail.first == 8


def test_a_delay_ends_with_its_group(reading):
    reading.take()
    reading.answer(1, 2, 3, 4)
    held = reading.hold()
    reading.group.give_back_later(held, 60.0)
    reading.group.leave({})
    reading.group.join()

    reading.clock.advance(60.0)
    reading.take()
    reading.answer(1, 2, 3, 4)

    assert reading.take() == [1, 2, 3, 4], "each once, though the delay was over as well"
