"""The schedule of retries and the policy behind it: nothing early, nothing forgotten, nothing too often, and one timer."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh_gateway.delivery import policy as policy_module
from mesh_gateway.delivery.policy import JITTER, RetryPolicy
from mesh_gateway.delivery.schedule import Schedule
from mesh_gateway.testing.clock import ManualClock
from tests.properties.machines import THOROUGH, assert_found

LEAST = 1e-9
"""Seconds by which sums of floats may differ."""

policies = st.builds(
    RetryPolicy,
    retry=st.integers(0, 6),
    backoff=st.sampled_from(["linear", "exponential"]),
    delay=st.sampled_from([0.0, 0.1, 1.0, 7.0]),
    backoff_max=st.sampled_from([0.5, 10.0, 3600.0]),
    retry_after_max=st.sampled_from([0.0, 5.0, 600.0]),
    jitter=st.booleans(),
)


@dataclass(eq=False)
class Tried:
    """An event that fails until it is given up."""

    attempts: int = 1
    due: float | None = None
    """When its next attempt is due; None while one is under way."""
    history: list[float] = field(default_factory=list)


class RetryMachine(RuleBasedStateMachine):
    """Events that fail, with and without a Retry-After, while time passes in steps of any length."""

    @initialize(policy=policies)
    def begin(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.clock = ManualClock(0.0)
        self.schedule: Schedule[Tried] = Schedule(self.clock, self._due)
        self.under_way: list[Tried] = []
        self.waiting: list[Tried] = []
        self.came: list[float] = []

    def _due(self, one: Tried) -> None:
        assert one in self.waiting, "it was not waiting"
        assert one.due is not None
        assert self.clock.time() >= one.due - LEAST, "early"
        assert self.clock.time() <= one.due + LEAST, "late: its timer was not that of the soonest"
        self.came.append(one.due)
        self.waiting.remove(one)
        one.attempts += 1
        one.due = None
        self.under_way.append(one)

    @rule()
    def a_first_attempt(self) -> None:
        self.under_way.append(Tried())

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 1_000),
        after=st.none() | st.sampled_from([0.0, 0.3, 4.0, 300.0, 315e6]),
        chance=st.floats(0, 0.999),
    )
    def an_attempt_fails(self, which: int, after: float | None, chance: float) -> None:
        one, policy = self.under_way.pop(which % len(self.under_way)), self.policy
        again = policy.again(one.attempts)
        assert again == (one.attempts < 1 + policy.retry)
        if not again:
            return
        wait = policy.wait(one.attempts, after, chance)
        usual = self._usual(one.attempts)
        spread = JITTER if policy.jitter else 0.0
        asked = min(after or 0.0, policy.retry_after_max)
        assert max(usual * (1 - spread), asked) - LEAST <= wait <= max(usual * (1 + spread), asked) + LEAST
        one.due = self.clock.time() + wait
        self.waiting.append(one)
        self.schedule.add(one, wait)

    def _usual(self, retry: int) -> float:
        policy = self.policy
        waits = [policy.delay * (n if policy.backoff == "linear" else 2**n) for n in range(1, retry + 1)]
        return min(waits[-1], policy.backoff_max)

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.0, 10.0, 5_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.came.clear()
        self.clock.advance(seconds)
        assert self.came == sorted(self.came), "not in the order of their moments"

    @rule()
    def everything_is_forgotten(self) -> None:
        expected = sorted(self.waiting, key=lambda one: one.due or 0.0)
        cleared = self.schedule.clear()
        assert [one.due for one in cleared] == [one.due for one in expected]
        self.waiting.clear()

    @invariant()
    def it_holds_what_waits_and_nothing_is_overdue(self) -> None:
        assert len(self.schedule) == len(self.waiting)
        assert all(
            one.due is not None and one.due > self.clock.time() - LEAST for one in self.waiting
        ) or any(one.due == self.clock.time() for one in self.waiting)

    @invariant()
    def one_timer_is_set_and_it_is_the_soonest(self) -> None:
        set = [when for when, _, timer, *_ in self.clock._timers if not timer.cancelled]
        assert set == ([] if not self.waiting else [min(one.due or 0.0 for one in self.waiting)])


TestRetrying = RetryMachine.TestCase
TestRetrying.settings = THOROUGH


# ── the machine finds ────────────────────────────────────────────────────────────────────────────


def test_a_schedule_that_does_not_look_at_what_is_sooner_is_found(monkeypatch):
    def add(self: Schedule[Tried], item: Tried, seconds: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self._clock.time() + seconds, self._count, item))
        if self._timer is None:
            self._set_timer()

    monkeypatch.setattr(Schedule, "add", add)
    assert_found(RetryMachine)


def test_a_schedule_that_hands_out_one_and_forgets_to_set_its_timer_is_found(monkeypatch):
    def fire(self: Schedule[Tried]) -> None:
        self._timer = None
        self._due(heapq.heappop(self._heap)[2])

    monkeypatch.setattr(Schedule, "_fire", fire)
    assert_found(RetryMachine)


def test_a_schedule_whose_timer_outlives_what_is_forgotten_is_found(monkeypatch):
    def clear(self: Schedule[Tried]) -> list[Tried]:
        items = [item for _, _, item in sorted(self._heap)]
        self._heap.clear()
        return items

    monkeypatch.setattr(Schedule, "clear", clear)
    assert_found(RetryMachine)


def test_a_policy_that_tries_once_too_often_is_found(monkeypatch):
    monkeypatch.setattr(RetryPolicy, "again", lambda self, attempt: attempt <= self.retry + 1)
    assert_found(RetryMachine)


def test_a_policy_without_a_cap_on_retry_after_is_found(monkeypatch):
    wait = RetryPolicy.wait
    monkeypatch.setattr(
        RetryPolicy,
        "wait",
        lambda self, retry, after, chance: max(wait(self, retry, None, chance), after or 0.0),
    )
    assert_found(RetryMachine)


def test_a_policy_whose_jitter_has_no_bound_is_found(monkeypatch):
    monkeypatch.setattr(policy_module, "JITTER", 0.5)
    assert_found(RetryMachine)
