"""One subscription for many triggers: everything read is settled exactly when its last copy has ended."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.broker.reader import Reader
from mesh_gateway.broker.router import Router
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import parse
from mesh_gateway.testing.fakes import RecordingSubscription
from mesh_gateway.transport.contract import EARLIEST, SHARED, Delivery
from mesh_gateway.transport.ledger import Ledger


class Taker:
    """A trigger that only takes copies."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.taken: list[tuple[Delivery, object]] = []

    def offer(self, delivery, finish) -> None:
        self.taken.append((delivery, finish))


class Channel:
    def __init__(self, subscription: RecordingSubscription) -> None:
        self._subscription = subscription

    async def subscribe(self, group, start):
        return self._subscription


def delivery(number: int, type: str = "t") -> Delivery:
    return Delivery(Event.new(type=type, source="/s", id=str(number)), number, str(number))


def reader(
    subscription: RecordingSubscription,
    *takers: tuple[str, Taker],
    gate: Gate | None = None,
    watches: Watches | None = None,
) -> Reader:
    routes = [(parse([{"exact": {"type": type}}]), taker) for type, taker in takers]
    return Reader(
        Channel(subscription),  # type: ignore[arg-type]  # the part a reader uses
        broker="ns/b",
        group=SHARED,
        start=EARLIEST,
        router=Router(routes),
        gate=gate or Gate(),
        watches=watches or Watches(),
    )


async def test_an_event_nobody_wants_is_settled_at_once():
    subscription = RecordingSubscription([[delivery(1, "other")]])
    running = asyncio.ensure_future(reader(subscription, ("t", Taker("a"))).run())
    async with asyncio.timeout(5):
        while not subscription.settled:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    assert subscription.closed


async def test_every_trigger_that_wants_an_event_gets_the_same_one():
    one, two = Taker("one"), Taker("two")
    subscription = RecordingSubscription()
    shared = delivery(1)
    ledger = Ledger(subscription)
    reader(subscription, ("t", one), ("t", two), ("u", Taker("other"))).route([shared], ledger)

    assert one.taken[0][0] is two.taken[0][0] is shared
    assert shared.pending == 2


async def test_nothing_is_received_while_somebody_holds_the_gate():
    gate = Gate()
    gate.hold("somebody")
    taker = Taker("a")
    running = asyncio.ensure_future(
        reader(RecordingSubscription([[delivery(1)]]), ("t", taker), gate=gate).run()
    )
    for _ in range(5):
        await asyncio.sleep(0)
    assert taker.taken == []
    gate.let("somebody")
    async with asyncio.timeout(5):
        while not taker.taken:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])


async def test_what_ended_before_the_reader_stops_is_settled_on_the_way_out():
    taker = Taker("a")
    subscription = RecordingSubscription([[delivery(1), delivery(2)]])
    running = asyncio.ensure_future(reader(subscription, ("t", taker)).run())
    async with asyncio.timeout(5):
        while not taker.taken:
            await asyncio.sleep(0)
    first, finish = taker.taken[0]
    finish(first)  # type: ignore[operator]
    running.cancel()
    await asyncio.wait([running])

    assert [d.event.id for d in subscription.settled] == ["1"]


async def test_whoever_watches_hears_which_triggers_matched():
    watches = Watches()
    facts: list[object] = []
    watches.open("ns/b", "/s", "1", facts.append)
    subscription = RecordingSubscription()
    reader(subscription, ("t", Taker("ns/a")), watches=watches).route([delivery(1)], Ledger(subscription))

    assert facts == [{"event": "matched", "triggers": ["ns/a"]}]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.randoms())
def test_an_event_is_settled_exactly_when_its_last_copy_has_ended(wanted, chance):
    """However many triggers want each event, and in whatever order their copies end."""

    async def run() -> None:
        subscription = RecordingSubscription()
        ledger = Ledger(subscription)
        takers = [Taker(str(n)) for n in range(4)]
        routes = reader(subscription, *((f"t{n}", taker) for n, taker in enumerate(takers)))
        deliveries = [delivery(i, f"t{w}") for i, w in enumerate(wanted)]
        for one, count in zip(deliveries, wanted, strict=True):
            one.pending = count
        ledger.received(len(deliveries))
        ledger.unwanted([d for d in deliveries if d.pending == 0])
        copies = [d for d in deliveries for _ in range(d.pending)]
        chance.shuffle(copies)
        left = {id(d): d.pending for d in deliveries}
        for copy in copies:
            ledger.finish(copy)
            left[id(copy)] -= 1
            await ledger.flush()
            assert {id(d) for d in subscription.settled} == {i for i, count in left.items() if count == 0}
        await ledger.flush()
        assert len(subscription.settled) == len(deliveries)
        assert ledger.outstanding == 0
        assert routes.outstanding == 0

    asyncio.run(run())
