"""A trigger with its window, its retries and its parked channel, through crashes and failing publishes, against the law.

A copy leaves the broker's channel only when it was delivered, or its dead letter or it itself is durable elsewhere. No
more attempts than `parallelism`, no more copies than the window, none too early or too often; per key in order where
order is asked for; and whatever has happened, in the end everything has an end.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from mesh_gateway import native
from mesh_gateway.delivery.deadletter import without_error
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.insist import InOrder, Insist
from mesh_gateway.delivery.lanes import Copy, PerKey
from mesh_gateway.delivery.parking import Parking
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.sink import ACCEPTED, Outcome, Refused, Retry
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.delivery.window import Window
from mesh_gateway.errors import ConnectionLost, MeshError
from mesh_gateway.event import Event
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.testing.fakes import Attempt, ScriptedSink
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.transport import CAPABILITIES
from tests.faults.scale import ALL
from tests.properties.machines import THOROUGH, LoopMachine, assert_found

patched = pytest.mark.skipif(
    bool(native.PARTS.compiled),
    reason="a compiled module calls its own functions, whatever is put over them: told by `make test-python` and `make test-faults`",
)

BEGIN = 1_000.0
SILENT = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
OUTCOMES: Sequence[Outcome] = (
    ACCEPTED,
    Retry("busy", 503),
    Retry("busy", 429, after=30.0),
    Refused("no", 400),
)

UNORDERED, ORDERED, BLOCKING = (
    st.builds(
        Window,
        events=st.integers(1, 4),
        parallelism=st.integers(1, 3),
        ordered=st.sampled_from(ordered),
        overflow=st.sampled_from([overflow]),
    )
    for ordered, overflow in (([False], "park"), ([True], "park"), ([False, True], "block"))
)
policies = st.builds(
    RetryPolicy,
    retry=st.integers(0, 3),
    backoff=st.just("linear"),
    delay=st.just(10.0),
    jitter=st.sampled_from([False]),
)


class Room:
    """A channel: what is published ends as the machine says; what was stored is read until it is settled."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.transport = SimpleNamespace(capabilities=replace(CAPABILITIES, max_batch=2))
        self.waiting: deque[tuple[Event, Any]] = deque()
        self.stored: dict[int, Event] = {}
        self._count = 0
        self.news = asyncio.Event()

    def publish(self, event: Event, done: Any) -> None:
        self.waiting.append((event, done))

    def end(self, error: MeshError | None, stored: bool) -> list[str]:
        """Let the oldest publish end, and those that are in one batch with it. Whose are they?"""
        batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), 2))]
        if stored:
            for event, _ in batch:
                self._count += 1
                self.stored[self._count] = event
            self.news.set()
        for _, done in batch:
            done(error)
        return [event.id for event, _ in batch]

    def crash(self) -> None:
        self.waiting.clear()
        self.news = asyncio.Event()

    async def subscribe(self, group: str, start: Any) -> Reading:
        return Reading(self)


class Reading:
    """A subscription to such a channel."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._at = 0

    async def receive(self, limit: int) -> Sequence[Delivery]:
        room = self._room
        assert limit > 0
        if not any(number > self._at for number in room.stored):
            room.news.clear()
            await room.news.wait()
        found = [number for number in room.stored if number > self._at][:limit]
        self._at = max(found, default=self._at)
        return [Delivery(room.stored[number], number, str(number)) for number in found]

    async def settle(self, done: Sequence[Delivery]) -> None:
        for delivery in done:
            self._room.stored.pop(delivery.token, None)

    async def close(self) -> None:
        """What was not settled is read again by the next."""


class TriggerMachine(LoopMachine):
    """Everything that can happen around one trigger of a broker, event by event."""

    windows = UNORDERED
    holds: Sequence[float] = (15.0, float("inf"))
    """Seconds that the transport lets a copy be held."""

    @initialize(data=st.data(), policy=policies)
    def begin(self, data: st.DataObject, policy: RetryPolicy) -> None:
        self.window, self.policy = data.draw(self.windows), policy
        self.hold = data.draw(st.sampled_from(self.holds))
        self.clock = ManualClock(BEGIN)
        self.parked, self.letters = Room("parked"), Room("letters")
        self.channel: dict[str, Event] = {}
        """The broker's channel: what is not settled there, in order."""
        self.done: list[str] = []
        """Finished, and not yet settled in the broker's channel."""
        self.keys: dict[str, str] = {}
        """Of every event that ever came, in order."""
        self.delivered: set[str] = set()
        self.faults: list[AssertionError] = []
        self.patches = ExitStack()
        self.patches.enter_context(patch("mesh_gateway.delivery.parking.PARKING_LIMIT", 2))
        for module in ("attempts", "facts"):
            self.patches.enter_context(patch(f"mesh_gateway.delivery.{module}.log", SILENT))
        self._start()

    def teardown(self) -> None:
        if hasattr(self, "running"):
            self.patches.close()
            self.running.cancel()
            self.run(asyncio.wait([self.running]))
        super().teardown()

    def _start(self) -> None:
        self.unread = deque(self.channel)
        self.exempt = set(self.channel) | {event.id for event in self.parked.stored.values()}
        """May come twice, in the broker's channel and parked: their attempts are those of two copies."""
        self.tries: Counter[str] = Counter()
        self.not_before: dict[str, float] = {}
        self.sink = Watched(self)
        self.gate = Gate()
        self.trigger = Trigger(
            key="ns/t",
            broker="ns/b",
            cluster="here",
            sink=self.sink,
            dead_letter_sink=None,
            policy=self.policy,
            window=self.window,
            parked=self.parked,  # type: ignore[arg-type]  # the part of a Channel that a trigger uses
            dead_letters=self.letters,  # type: ignore[arg-type]
            accept=lambda event, done: None,
            gate=self.gate,
            clock=self.clock,
            watches=Watches(),
            chance=lambda: 0.5,
            hold_limits=(self.hold, float("inf")),
            now=lambda: 1_000_000 + self.clock.time(),
        )
        self.running = self.loop.create_task(self.trigger.run())
        self._settle_down()

    def _settle_down(self) -> None:
        async def turns() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.run(turns())
        if self.running.done():
            self.running.result()

    @property
    def open_gate(self) -> bool:
        return self.gate._open.is_set()

    # ── what happens ─────────────────────────────────────────────────────────────────────────

    @rule(keys=st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
    def events_come(self, keys: list[str]) -> None:
        for key in keys:
            id = f"e{len(self.keys)}"
            self.keys[id] = key
            self.channel[id] = Event.new(type="t", source="/s", id=id, partitionkey=key)
            self.unread.append(id)

    @precondition(lambda self: self.unread and self.open_gate)
    @rule(count=st.integers(1, 3))
    def the_reader_reads(self, count: int) -> None:
        for _ in range(min(count, len(self.unread))):
            id = self.unread.popleft()
            self.trigger.offer(Delivery(self.channel[id], id, id, pending=1), self._finished)
        self._settle_down()

    def _finished(self, delivery: Delivery) -> None:
        assert delivery.token not in self.done, "finished twice"
        self.done.append(delivery.token)

    @precondition(lambda self: self.done)
    @rule()
    def the_broker_settles(self) -> None:
        for id in self.done:
            del self.channel[id]
        self.done.clear()

    @precondition(lambda self: self.sink.attempts)
    @rule(which=st.integers(0, 1_000), outcome=st.sampled_from(OUTCOMES))
    def an_attempt_ends(self, which: int, outcome: Outcome) -> None:
        attempt = self.sink.attempts.pop(which % len(self.sink.attempts))
        id, copy = attempt.event.id, attempt.context
        if outcome is ACCEPTED:
            self.delivered.add(id)
        elif isinstance(outcome, Retry) and self.policy.again(copy.attempt):
            self.not_before[id] = self.clock.time() + self.policy.wait(copy.attempt, outcome.after, 0.5)
        attempt.end(outcome)
        self._settle_down()

    @precondition(lambda self: self.parked.waiting or self.letters.waiting)
    @rule(parked=st.booleans(), works=st.booleans(), unknown=st.booleans())
    def a_publish_ends(self, parked: bool, works: bool, unknown: bool = False) -> None:
        room = self.parked if (parked and self.parked.waiting) or not self.letters.waiting else self.letters
        ids = room.end(None if works else ConnectionLost("gone"), stored=works or unknown)
        if not works:
            self.exempt.update(ids)  # they may lie there twice
        self._settle_down()

    @rule(seconds=st.sampled_from([0.4, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._settle_down()

    @rule()
    def a_reading_of_the_parked_channel_is_empty(self) -> None:
        self.parked.news.set()
        self._settle_down()

    @rule(graceful=st.booleans())
    def it_stops_and_starts_again(self, graceful: bool) -> None:
        if graceful:
            self.trigger.stop()
            begun = self.sink.total
            while self.sink.attempts:
                self.an_attempt_ends(0, OUTCOMES[1])
            self.clock.advance(100.0)
            self._settle_down()
            assert self.sink.total == begun, "stopped, it begins an attempt"
            assert self.trigger._attempts._idle.is_set() == (not self.letters.waiting)
        self.running.cancel()
        self.run(asyncio.wait([self.running]))
        self.done.clear()
        self.parked.crash()
        self.letters.crash()
        self.clock = ManualClock(self.clock.time())  # with the process its timers go
        self._start()

    @rule()
    def it_leaves_and_another_takes_its_place(self) -> None:
        self.trigger.leave()
        before = self.sink.total
        left = self.loop.create_task(self.trigger.left())
        self._settle_down()
        for _ in range(10 + 2 * len(self.keys)):
            if left.done():
                break
            while self.sink.attempts:
                self.an_attempt_ends(0, OUTCOMES[1])
            while self.parked.waiting or self.letters.waiting:
                self.a_publish_ends(parked=True, works=True)
            self.time_passes(40.0)
        assert left.done()
        assert self.sink.total == before, "it goes, and begins an attempt"
        self.trigger.stop()
        self.running.cancel()
        self.run(asyncio.wait([self.running]))
        for id in self.done:
            del self.channel[id]
        self.done.clear()
        assert list(self.channel) == list(self.unread), "it is gone, and holds some yet"
        if self.window.ordered:
            lies = Counter(event.id for event in self.parked.stored.values())
            assert all(count == 1 for id, count in lies.items() if id not in self.exempt), "parked twice"
        self.parked.crash()
        self.clock = ManualClock(self.clock.time())
        self._start()

    @rule()
    def all_goes_well_and_everything_has_an_end(self) -> None:
        for _ in range(40 + 12 * len(self.keys)):
            while self.sink.attempts:
                self.an_attempt_ends(0, ACCEPTED)
            while self.parked.waiting or self.letters.waiting:
                self.a_publish_ends(parked=True, works=True)
            while self.unread and self.open_gate:
                self.the_reader_reads(1)
            self.the_broker_settles()
            self.time_passes(40.0)
            self.a_reading_of_the_parked_channel_is_empty()
            if not (self.channel or self.parked.stored or self.trigger.held) and self.trigger.parking.drained:
                break
        assert not self.channel
        assert not self.unread
        assert not self.parked.stored
        assert set(self.keys) <= self.delivered | self._buried()
        assert (self.trigger.held, self.trigger.held_bytes, self.trigger.in_flight) == (0, 0, 0)
        assert self.trigger.parking.drained
        assert self.open_gate

    # ── what is always true ──────────────────────────────────────────────────────────────────

    def _buried(self) -> set[str]:
        return {event.id for event in self.letters.stored.values()}

    def begins(self, attempt: Attempt) -> None:
        """The sink is asked for an attempt."""
        id, copy = attempt.event.id, attempt.context
        assert attempt.event.attributes.keys() == self._as_it_came(id), "something of ours goes out with it"
        assert copy.attempt <= 1 + self.policy.retry
        not_before = self.not_before.pop(id, 0.0)
        assert id in self.exempt or self.clock.time() >= not_before - 1e-3, "early"
        self.tries[id] += 1
        assert id in self.exempt or self.tries[id] <= 1 + self.policy.retry
        if self.window.ordered:
            same = [other for other in self.keys if self.keys[other] == self.keys[id]]
            before = same[: same.index(id)]
            assert set(before) <= self.delivered | self._buried(), "it overtakes another of its key"

    def _as_it_came(self, id: str) -> set[str]:
        return {"specversion", "type", "source", "id", "partitionkey"}

    @invariant()
    def no_attempt_was_wrong(self) -> None:
        for error in self.faults:
            raise error

    @invariant()
    def nothing_has_left_the_brokers_channel_without_an_end(self) -> None:
        elsewhere = self.delivered | self._buried() | {event.id for event in self.parked.stored.values()}
        assert self.keys.keys() - self.channel.keys() <= elsewhere
        assert set(self.done) <= elsewhere

    @invariant()
    def letters_are_the_events_that_they_tell_of(self) -> None:
        for letter in self.letters.stored.values():
            assert without_error(letter).attributes.keys() == self._as_it_came(letter.id)

    @invariant()
    def it_keeps_to_its_limits(self) -> None:
        window, trigger = self.window, self.trigger
        assert trigger.in_flight == len(self.sink.attempts) <= window.parallelism
        assert len(self.sink.attempts) <= trigger.held
        # The reader reads on while it has a batch; and what was asked for of the parked channel while there was room
        # comes when others have taken that.
        at_once = 2 if window.overflow == "block" else window.events
        assert trigger.held <= window.events + at_once
        if window.overflow == "block":
            first = window.ordered and not trigger.parking.drained
            assert self.open_gate == (trigger.held < window.events and not first)
        if window.ordered:
            keys = Counter(self.keys[attempt.event.id] for attempt in self.sink.attempts)
            assert all(count == 1 for count in keys.values())


class Watched(ScriptedSink):
    """Tells the machine of each attempt."""

    def __init__(self, machine: TriggerMachine) -> None:
        super().__init__()
        self._machine = machine

    def send(self, event: Event, context: Any, ended: Any) -> None:
        super().send(event, context, ended)
        try:
            self._machine.begins(self.attempts[-1])
        except AssertionError as error:  # who sends must not hear of it: it would come wrapped in theirs
            self._machine.faults.append(error)


class OrderedMachine(TriggerMachine):
    """The same with order kept for each key."""

    windows = ORDERED


class BlockingMachine(TriggerMachine):
    """The same with a window that holds the reader when it is full."""

    windows = BLOCKING


SOME = settings(THOROUGH, max_examples=50)

TestTriggering = TriggerMachine.TestCase
TestTriggering.settings = SOME
TestOrdered = OrderedMachine.TestCase
TestOrdered.settings = SOME
TestBlocking = BlockingMachine.TestCase
TestBlocking.settings = SOME


rare = pytest.mark.skipif(not ALL, reason="a minute of examples; MESH_FAULTS=all (make test-faults)")

# ── the machine finds ────────────────────────────────────────────────────────────────────────────


@patched
@rare
def test_a_trigger_whose_new_copies_overtake_parked_ones_is_found(monkeypatch):
    must_park = Trigger._must_park

    def full_only(self: Trigger, copy: Any) -> bool:
        drained, self.parking.drained = self.parking.drained, True
        try:
            return must_park(self, copy)
        finally:
            self.parking.drained = drained

    monkeypatch.setattr(Trigger, "_must_park", full_only)
    assert_found(OrderedMachine)


@pytest.mark.parametrize(("kind", "machine"), [(Insist, TriggerMachine), (InOrder, OrderedMachine)])
def test_parking_that_ends_a_copy_before_it_is_durable_is_found(monkeypatch, kind, machine):
    store = kind.store

    def early(self: Any, event: Event, ended: Any) -> None:
        store(self, event, lambda error: None)
        ended(None)

    monkeypatch.setattr(kind, "store", early)
    assert_found(machine)


def test_parking_that_lets_later_copies_pass_one_that_failed_is_found(monkeypatch):
    monkeypatch.setattr(
        "mesh_gateway.delivery.parking.InOrder", lambda publish, clock, at_once: Insist(publish, clock)
    )
    assert_found(OrderedMachine)


@patched
def test_a_trigger_that_leaves_and_parks_once_more_what_lies_parked_is_found(monkeypatch):
    def once_more(self: Trigger, copy: Any) -> None:
        self.parking.park(Copy(copy.delivery, lambda delivery: self._finish(copy), copy.size))

    monkeypatch.setattr(Trigger, "_leave_parked", once_more)
    assert_found(OrderedMachine)


def test_lanes_that_send_two_of_a_key_at_once_are_found(monkeypatch):
    push = PerKey.push

    def ready_at_once(self: PerKey, copy: Any) -> None:
        push(self, copy)
        if copy.lane not in self._ready:
            self._ready.append(copy.lane)

    monkeypatch.setattr(PerKey, "push", ready_at_once)
    assert_found(OrderedMachine)


def test_parking_that_is_not_told_of_room_is_found(monkeypatch):
    monkeypatch.setattr(Parking, "resume", lambda self: None)
    assert_found(TriggerMachine)


@patched
@rare
def test_a_trigger_that_forgets_when_a_parked_retry_is_due_is_found(monkeypatch):
    monkeypatch.setattr(
        "mesh_gateway.delivery.trigger.marked",
        lambda event, attempts, due: event.with_attributes({"meshretried": str(attempts), "meshdue": "0"}),
    )
    assert_found(TriggerMachine)


@patched
def test_a_window_that_never_fills_is_found(monkeypatch):
    monkeypatch.setattr(Trigger, "_must_park", lambda self, copy: False)
    assert_found(TriggerMachine)


def test_a_trigger_that_is_stopped_and_goes_on_is_found(monkeypatch):
    stop = Trigger.stop

    def half(self: Trigger) -> None:
        stop(self)
        self._attempts.stopped = False

    monkeypatch.setattr(Trigger, "stop", half)
    assert_found(TriggerMachine)


def test_a_gate_that_is_never_let_go_is_found(monkeypatch):
    monkeypatch.setattr(Gate, "let", lambda self, who: None)
    assert_found(BlockingMachine)
