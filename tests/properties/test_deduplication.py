"""What a receiver of relays remembers, against the plainest memories: it never takes for a duplicate what is none.

A false "seen" is a lost event. A false "new" is a second delivery, allowed only where something had to be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh_gateway.federation import lanes as lanes_module
from mesh_gateway.federation.lanes import EPOCHS, Lanes
from mesh_gateway.federation.memory import ProcessMemory
from mesh_gateway.federation.rate import Rate
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import Lane
from mesh_gateway.federation.window import Window
from tests.properties.machines import THOROUGH, assert_found

HIGHEST = 40
numbers = st.integers(1, HIGHEST)
epochs = st.integers(1, EPOCHS + 4).map(str)


class LaneMachine(RuleBasedStateMachine):
    """Numbers of many epochs in any order, floors, and starts anew from what was stored."""

    @initialize()
    def begin(self) -> None:
        self.lanes = Lanes()
        self.taken: dict[str, set[int]] = {}
        """By epoch, the one that sent last at the end."""

    def _put(self, epoch: str, seen: Seen, taken: set[int]) -> None:
        self.lanes.put(epoch, seen)
        self.taken.pop(epoch, None)
        self.taken[epoch] = taken
        for oldest in list(self.taken)[: max(0, len(self.taken) - EPOCHS)]:
            del self.taken[oldest]

    @rule(epoch=epochs, batch=st.lists(numbers, max_size=8))
    def numbers_come(self, epoch: str, batch: list[int]) -> None:
        seen = self.lanes.of(epoch).copy()
        for number in batch:
            seen.add(number)
        self._put(epoch, seen, self.taken.get(epoch, set()) | set(batch))

    @rule(epoch=epochs, floor=st.integers(0, HIGHEST))
    def the_sender_has_ended_all_up_to(self, epoch: str, floor: int) -> None:
        seen = self.lanes.of(epoch).copy()
        seen.advance(floor)
        self._put(epoch, seen, self.taken.get(epoch, set()) | set(range(1, floor + 1)))

    @rule(epoch=epochs, number=numbers)
    def what_is_judged_and_not_stored_changes_nothing(self, epoch: str, number: int) -> None:
        self.lanes.of(epoch).copy().add(number)

    @rule()
    def it_starts_anew(self) -> None:
        self.lanes = Lanes(self.lanes.stored())

    @invariant()
    def exactly_what_was_taken_is_seen(self) -> None:
        for epoch in map(str, range(1, EPOCHS + 5)):
            seen, taken = self.lanes.of(epoch), self.taken.get(epoch, set())
            assert {number for number in range(1, HIGHEST + 2) if number in seen} == taken

    @invariant()
    def what_is_kept_grows_with_gaps_only(self) -> None:
        for epoch in self.taken:
            seen = self.lanes.of(epoch)
            assert seen.watermark + 1 not in seen.beyond
            assert all(number > seen.watermark for number in seen.beyond)


TestLanes = LaneMachine.TestCase
TestLanes.settings = settings(THOROUGH, max_examples=50)


SECONDS, MOST = 10.0, 6
identities = st.integers(0, 12).map(lambda n: bytes([n]))


class WindowMachine(RuleBasedStateMachine):
    """Identities come, and come again, while time passes and there is room for few."""

    @initialize()
    def begin(self) -> None:
        self.window = Window(SECONDS, MOST)
        self.now = 0.0
        self.came: dict[bytes, float] = {}
        """When each came last, the latest at the end."""
        self.evicted = 0

    @rule(batch=st.lists(identities, max_size=5))
    def come(self, batch: list[bytes]) -> None:
        self.window.add(batch, self.now)
        for one in batch:
            self.came.pop(one, None)
            self.came[one] = self.now
        inside = [one for one, moment in self.came.items() if moment >= self.now - SECONDS]
        surplus = inside[: max(0, len(inside) - MOST)]
        self.evicted += len(surplus)
        self.came = {one: self.came[one] for one in inside if one not in surplus}
        assert len(self.window) == len(self.came)

    @rule(seconds=st.sampled_from([0.5, 4.0, SECONDS, SECONDS + 0.1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def exactly_what_came_within_the_window_is_known(self) -> None:
        everything = [bytes([n]) for n in range(14)]
        known = {one for one, moment in self.came.items() if moment >= self.now - SECONDS}
        assert self.window.known(everything, self.now) == known

    @invariant()
    def it_counts_what_had_to_go_before_its_time(self) -> None:
        assert self.window.evicted == self.evicted


TestWindow = WindowMachine.TestCase
TestWindow.settings = THOROUGH


class RateMachine(RuleBasedStateMachine):
    """A sender that spends as it likes, within what is allowed."""

    @initialize(per_second=st.sampled_from([0.5, 3.0, 100.0]))
    def begin(self, per_second: float) -> None:
        self.per_second = per_second
        self.rate = Rate(per_second)
        self.now = 0.0
        self.spent: list[tuple[float, int]] = []

    @rule(part=st.floats(0, 1))
    def spend(self, part: float) -> None:
        events = int(self.rate.allowed(self.now) * part)
        self.rate.spend(events)
        self.spent.append((self.now, events))

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_wait_that_is_kept_is_enough(self) -> None:
        self.now += self.rate.wait(self.now)
        assert self.rate.allowed(self.now) >= 1

    @invariant()
    def no_stretch_of_time_has_more_than_its_share_and_a_seconds_worth(self) -> None:
        for index, (begin, _) in enumerate(self.spent):
            total = sum(events for _, events in self.spent[index:])
            assert total <= (self.now - begin) * self.per_second + max(1.0, self.per_second) + 1e-6


TestRate = RateMachine.TestCase
TestRate.settings = THOROUGH


def test_a_process_remembers_lanes_apart_and_identities_for_a_day():
    now = [0.0]
    memory = ProcessMemory(lambda: now[0])
    one, other = Lane("eu", "r", "1"), Lane("eu", "r", "2")

    memory.remember(one, Seen(3), [b"a"])

    assert 3 in memory.lane(one)
    assert 1 not in memory.lane(other)
    now[0] = 86_400.0
    assert memory.known([b"a", b"b"]) == {b"a"}
    now[0] += 0.1
    assert memory.known([b"a"]) == set()


# ── the machines find ────────────────────────────────────────────────────────────────────────────


def test_a_lane_that_takes_lower_for_seen_is_found(monkeypatch):
    monkeypatch.setattr(
        Seen, "__contains__", lambda self, number: number <= max(self.beyond, default=self.watermark)
    )
    assert_found(LaneMachine)


def test_a_floor_that_forgets_what_was_taken_beyond_it_is_found(monkeypatch):
    def advance(self: Seen, floor: int) -> None:
        if floor > self.watermark:
            self.watermark, self.beyond = floor, set()

    monkeypatch.setattr(Seen, "advance", advance)
    assert_found(LaneMachine)


def test_a_floor_that_goes_back_is_found(monkeypatch):
    def advance(self: Seen, floor: int) -> None:
        self.watermark = floor

    monkeypatch.setattr(Seen, "advance", advance)
    assert_found(LaneMachine)


def test_lanes_that_forget_whoever_sent_last_are_found(monkeypatch):
    def put(self: Lanes, epoch: str, seen: Seen) -> None:
        self._epochs[epoch] = seen  # an epoch that sends again stays where it was
        while len(self._epochs) > EPOCHS:
            del self._epochs[next(iter(self._epochs))]

    monkeypatch.setattr(Lanes, "put", put)
    assert_found(LaneMachine)


def test_lanes_that_store_no_gaps_are_found(monkeypatch):
    def stored(self: Lanes) -> bytes:
        return lanes_module._encode([(epoch, seen.watermark, []) for epoch, seen in self._epochs.items()])

    monkeypatch.setattr(Lanes, "stored", stored)
    assert_found(LaneMachine)


def test_a_window_that_never_forgets_is_found(monkeypatch):
    def known(self: Window, identities: Iterable[bytes], now: float) -> set[bytes]:
        return {one for one in identities if one in self._moments}

    monkeypatch.setattr(Window, "known", known)
    assert_found(WindowMachine)


def test_a_window_that_forgets_who_comes_again_is_found(monkeypatch):
    add = Window.add

    def first_counts(self: Window, identities: Iterable[bytes], now: float) -> None:
        add(self, [one for one in identities if one not in self._moments], now)

    monkeypatch.setattr(Window, "add", first_counts)
    assert_found(WindowMachine)


def test_a_rate_that_saves_up_is_found(monkeypatch):
    def fill(self: Rate, now: float) -> None:
        self._filled += (now - self._at) * self._per_second
        self._at = now

    monkeypatch.setattr(Rate, "_fill", fill)
    assert_found(RateMachine)


def test_a_rate_that_counts_the_same_time_twice_is_found(monkeypatch):
    def fill(self: Rate, now: float) -> None:
        self._filled = min(self._most, self._filled + (now - self._at) * self._per_second)

    monkeypatch.setattr(Rate, "_fill", fill)
    assert_found(RateMachine)
