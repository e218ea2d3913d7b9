"""The law of settling: the last copy's end settles an event, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mesh_gateway.event import Event
from mesh_gateway.testing.fakes import RecordingSubscription
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.ledger import Ledger


def delivery(number: int, pending: int) -> Delivery:
    return Delivery(
        Event.new(type="t", source="/s", id=str(number)), token=number, position=str(number), pending=pending
    )


async def test_an_event_is_settled_when_its_last_copy_has_finished():
    subscription = RecordingSubscription()
    ledger = Ledger(subscription)
    shared = delivery(1, pending=2)
    ledger.received(1)
    ledger.finish(shared)
    await ledger.flush()
    assert subscription.settled == []

    ledger.finish(shared)
    await ledger.flush()
    assert subscription.settled == [shared]
    assert ledger.outstanding == 0


async def test_what_finishes_in_one_turn_of_the_loop_is_one_settle():
    subscription = RecordingSubscription()
    ledger = Ledger(subscription)
    running = asyncio.ensure_future(ledger.run())
    deliveries = [delivery(n, pending=1) for n in range(50)]
    ledger.received(50)
    for one in deliveries:
        ledger.finish(one)
    await ledger.settled()

    assert subscription.settles == 1
    assert subscription.settled == deliveries
    running.cancel()


async def test_what_nobody_wants_is_settled_without_a_countdown():
    subscription = RecordingSubscription()
    ledger = Ledger(subscription)
    unwanted = delivery(1, pending=0)
    ledger.received(1)
    ledger.unwanted([unwanted])
    await ledger.flush()

    assert subscription.settled == [unwanted]


async def test_a_settle_that_is_cancelled_is_done_once_more_on_the_way_out():
    class Slow(RecordingSubscription):
        async def settle(self, done: Sequence[Delivery]) -> None:
            if not reached.is_set():
                reached.set()
                await asyncio.Event().wait()
            await super().settle(done)

    reached = asyncio.Event()
    subscription = Slow()
    ledger = Ledger(subscription)
    running = asyncio.ensure_future(ledger.run())
    first, second = delivery(1, pending=1), delivery(2, pending=1)
    ledger.received(2)
    ledger.finish(first)
    await reached.wait()
    ledger.finish(second)

    running.cancel()
    await asyncio.wait([running])
    await ledger.flush()

    assert subscription.settled == [first, second]
    assert ledger.outstanding == 0
