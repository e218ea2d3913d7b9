"""The countdown behind the law of settling, with a reader that fans out, against the obvious model.

An event may be settled when each of the triggers that want it has said once that its copy has ended, or when none wants
it; whatever is cancelled or lost meanwhile, and in whatever order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh_gateway.broker.reader import Reader
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import ConnectionLost
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.ledger import Ledger
from tests.properties.machines import THOROUGH, Held, Steps, assert_found

TRIGGERS = ("a", "b", "c")


class Wanting:
    """A trigger that keeps what it is offered, until the machine lets it end."""

    def __init__(self, key: str, held: list[tuple[Delivery, Any]]) -> None:
        self.key = key
        self._held = held

    def offer(self, delivery: Delivery, finish: Any) -> None:
        self._held.append((delivery, finish))


class Settling:
    """A subscription whose settles end as the machine says."""

    def __init__(self, settled: list[int]) -> None:
        self._settled = settled

    async def settle(self, done: Sequence[Delivery]) -> None:
        await Held()
        self._settled += [delivery.token for delivery in done]


class Matching:
    """A router that knows who wants what by the event's id."""

    def __init__(self, held: list[tuple[Delivery, Any]]) -> None:
        self._triggers = {key: Wanting(key, held) for key in TRIGGERS}
        self.wanted: dict[str, Sequence[str]] = {}

    def match(self, event: Event) -> list[Wanting]:
        return [self._triggers[key] for key in self.wanted[event.id]]


class SettleMachine(RuleBasedStateMachine):
    """Receives, ends copies in any order, settles, is cancelled in the middle of it, and loses its connection."""

    @initialize()
    def begin(self) -> None:
        self.stored = 0
        self.copies_left: dict[int, int] = {}
        """Of every event that was ever received and not settled: copies without an end."""
        self.ended: set[int] = set()
        """Events that may be settled."""
        self.settled: list[int] = []
        self.held: list[tuple[Delivery, Any]] = []
        self.router = Matching(self.held)
        self.reader = Reader(
            None,  # type: ignore[arg-type]  # nothing is received by itself
            broker="b", group="g", start=None, router=self.router, gate=None, watches=Watches(),  # type: ignore[arg-type]
        )  # fmt: skip
        self.flushing: Steps | None = None
        self._open()

    def _open(self) -> None:
        """A subscription, anew: what was not settled comes again."""
        self.held.clear()
        self.ledger = Ledger(Settling(self.settled))  # type: ignore[arg-type]
        self.inside = 0
        again = sorted(set(range(1, self.stored + 1)) - set(self.settled))
        self._receive(again)

    def _receive(self, numbers: Sequence[int]) -> None:
        deliveries = [Delivery(_event(n), n, str(n)) for n in numbers]
        self.ledger.received(len(deliveries))
        self.inside += len(deliveries)
        self.reader.route(deliveries, self.ledger)
        for n in numbers:
            self.copies_left[n] = len(self.router.wanted[str(n)])
            if not self.copies_left[n]:
                self.ended.add(n)

    @precondition(lambda self: self.flushing is None)
    @rule(wanted=st.lists(st.sets(st.sampled_from(TRIGGERS)), max_size=5))
    def receive(self, wanted: list[set[str]]) -> None:
        numbers = range(self.stored + 1, self.stored + len(wanted) + 1)
        self.router.wanted |= {str(n): sorted(one) for n, one in zip(numbers, wanted, strict=True)}
        self.stored += len(wanted)
        self._receive(numbers)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1_000))
    def a_copy_ends(self, which: int) -> None:
        delivery, finish = self.held.pop(which % len(self.held))
        self.copies_left[delivery.token] -= 1
        if not self.copies_left[delivery.token]:
            self.ended.add(delivery.token)
        finish(delivery)

    @precondition(lambda self: self.flushing is None)
    @rule()
    def a_settle_begins(self) -> None:
        before = len(self.settled)
        self.flushing = Steps(self.ledger.flush())
        if not self.flushing.waits:
            self.flushing = None
            assert len(self.settled) == before
            assert self.ended <= set(self.settled), "nothing was to be settled, it said"

    @precondition(lambda self: self.flushing is not None)
    @rule()
    def the_settle_ends(self) -> None:
        assert self.flushing is not None
        before = len(self.settled)
        self.flushing.go_on()
        self.inside -= len(self.settled) - before
        self.flushing = None

    @precondition(lambda self: self.flushing is not None)
    @rule()
    def the_settle_is_cancelled(self) -> None:
        assert self.flushing is not None
        self.flushing.cancel()
        self.flushing = None

    @precondition(lambda self: self.flushing is not None)
    @rule()
    def the_connection_is_lost(self) -> None:
        assert self.flushing is not None
        self.flushing.fail(ConnectionLost("gone"))
        self.flushing = None
        self.ended &= set(self.settled)
        self._open()

    @precondition(lambda self: self.flushing is None)
    @rule()
    def all_ends_and_is_settled(self) -> None:
        while self.held:
            self.a_copy_ends(0)
        self.a_settle_begins()
        if self.flushing is not None:
            self.the_settle_ends()
        assert set(self.settled) == set(range(1, self.stored + 1))
        assert self.ledger._empty.is_set()  # `settled` itself would have to wait, and there is no loop
        assert not Steps(self.ledger.settled()).waits

    @invariant()
    def nothing_is_settled_before_all_its_copies_have_ended(self) -> None:
        assert set(self.settled) <= self.ended

    @invariant()
    def nothing_is_settled_twice(self) -> None:
        assert len(self.settled) == len(set(self.settled))

    @invariant()
    def it_counts_what_is_not_settled_and_says_when_that_is_nothing(self) -> None:
        assert self.ledger.outstanding == self.inside
        assert self.ledger._empty.is_set() == (self.inside == 0)


def _event(number: int) -> Event:
    return Event.new(type="t", source="/s", id=str(number))


TestSettling = SettleMachine.TestCase
TestSettling.settings = THOROUGH


# ── the machine finds ────────────────────────────────────────────────────────────────────────────


def test_a_ledger_that_settles_with_the_first_copy_is_found(monkeypatch):
    def finish(self: Ledger, delivery: Delivery) -> None:
        if delivery.pending:
            delivery.pending = 0
            self._done.append(delivery)
            self._wake.set()

    monkeypatch.setattr(Ledger, "finish", finish)
    assert_found(SettleMachine)


def test_a_ledger_that_never_settles_what_is_shared_is_found(monkeypatch):
    def finish(self: Ledger, delivery: Delivery) -> None:
        delivery.pending -= 2
        if delivery.pending == 0:
            self._done.append(delivery)
            self._wake.set()

    monkeypatch.setattr(Ledger, "finish", finish)
    assert_found(SettleMachine)


def test_a_ledger_that_forgets_what_a_cancelled_settle_held_is_found(monkeypatch):
    async def flush(self: Ledger) -> None:
        self._wake.clear()
        done, self._done = self._done, []
        if done:
            await self._subscription.settle(done)
            self.outstanding -= len(done)
            if self.outstanding == 0:
                self._empty.set()

    monkeypatch.setattr(Ledger, "flush", flush)
    assert_found(SettleMachine)


def test_a_ledger_that_counts_before_it_has_settled_is_found(monkeypatch):
    flush = Ledger.flush

    async def early(self: Ledger) -> None:
        self.outstanding -= len(self._done)
        before = self.outstanding
        await flush(self)
        self.outstanding = before

    monkeypatch.setattr(Ledger, "flush", early)
    assert_found(SettleMachine)


def test_a_reader_that_leaves_the_unwanted_lying_is_found(monkeypatch):
    monkeypatch.setattr(Ledger, "unwanted", lambda self, deliveries: None)
    assert_found(SettleMachine)


def test_a_reader_that_counts_one_trigger_too_few_is_found(monkeypatch):
    def route(self: Reader, deliveries: Sequence[Delivery], ledger: Ledger) -> None:
        for delivery in deliveries:
            triggers = self.router.match(delivery.event)
            if not triggers:
                ledger.unwanted([delivery])
            delivery.pending = max(1, len(triggers) - 1)
            for trigger in triggers:
                trigger.offer(delivery, ledger.finish)

    monkeypatch.setattr(Reader, "route", route)
    assert_found(SettleMachine)
