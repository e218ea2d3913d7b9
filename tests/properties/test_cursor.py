"""The cursor against the obvious model: a set of settled numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh_gateway.transport.embedded.cursor import Change, Cursor

HIGHEST = 60
numbers = st.integers(1, HIGHEST)


def stored(before: dict[int, int], change: Change) -> dict[int, int]:
    """What a store holds after writing a change."""
    kept = {} if change.gone is None else {f: last for f, last in before.items() if f not in change.gone}
    return kept | dict(change.new)


class CursorMachine(RuleBasedStateMachine):
    """Settles in any order, writes now and then, fails to write now and then, starts anew now and then."""

    @initialize(begin=st.integers(0, 10))
    def begin(self, begin: int) -> None:
        self.settled = set(range(1, begin + 1))
        self.cursor = Cursor(begin)
        self.watermark, self.rows = begin, dict[int, int]()

    @rule(batch=st.lists(numbers, max_size=12))
    def settle(self, batch: list[int]) -> None:
        self.cursor.settle(batch)
        self.settled |= set(batch)

    @rule(first=numbers, length=st.integers(0, 20))
    def settle_range(self, first: int, length: int) -> None:
        self.cursor.settle_range(first, first + length)
        self.settled |= set(range(first, first + length + 1))

    @rule()
    def write(self) -> None:
        change = self.cursor.change()
        self.watermark, self.rows = change.watermark, stored(self.rows, change)
        assert not self.cursor.changed

    @rule()
    def fail_to_write(self) -> None:
        self.cursor.change()
        self.cursor.unsaved()
        assert self.cursor.changed

    @rule()
    def write_and_start_anew(self) -> None:
        self.write()
        self.cursor = Cursor(self.watermark, self.rows.items())
        assert not self.cursor.changed

    @invariant()
    def it_knows_exactly_what_is_settled(self) -> None:
        for number in range(1, HIGHEST + 25):
            assert self.cursor.settled(number) == (number in self.settled)

    @invariant()
    def the_watermark_never_passes_an_unsettled_number_and_reaches_every_one_it_can(self) -> None:
        watermark = self.cursor.watermark
        assert set(range(1, watermark + 1)) <= self.settled
        assert watermark + 1 not in self.settled

    @invariant()
    def ranges_are_disjoint_and_do_not_touch(self) -> None:
        end = self.cursor.watermark
        for first, last in self.cursor.ranges:
            assert end + 1 < first <= last
            end = last

    @invariant()
    def it_counts_and_finds_what_is_not_settled(self) -> None:
        head = max(self.settled, default=0) + 3
        left = [number for number in range(1, head + 1) if number not in self.settled]
        assert self.cursor.unsettled_up_to(head) == len(left)
        for number in {1, 17, 40} & set(range(1, head + 1)):
            first, last = self.cursor.unsettled_from(number)
            stretch = [n for n in left if n >= number]
            assert first == stretch[0]
            assert all(n not in self.settled for n in range(first, (last or first) + 1))
            assert last is None or last + 1 in self.settled


TestCursor = CursorMachine.TestCase


@given(st.permutations(list(range(1, 30))))
def test_when_everything_is_settled_nothing_is_left_beyond_the_watermark(order):
    cursor = Cursor(0)

    for number in order:
        cursor.settle([number])

    assert (cursor.watermark, cursor.ranges) == (29, [])


def test_a_million_settled_behind_one_that_is_not_are_one_range():
    cursor = Cursor(0)

    cursor.settle(range(2, 1_000_001))

    assert cursor.ranges == [(2, 1_000_000)]
    assert cursor.change().new == ((2, 1_000_000),)
