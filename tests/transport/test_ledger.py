"""The law of settling: the last copy's end settles an event, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

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


async def test_where_nothing_was_received_everything_is_settled():
    ledger = Ledger(RecordingSubscription())

    ledger.received(0)

    async with asyncio.timeout(5):
        await ledger.settled()


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


class SlowToClose(RecordingSubscription):
    """Closes once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.closing, self.may_close = asyncio.Event(), asyncio.Event()

    async def close(self) -> None:
        self.closing.set()
        await self.may_close.wait()
        await super().close()


async def test_what_is_done_is_settled_before_the_subscription_is_closed():
    subscription = RecordingSubscription()
    ledger = Ledger(subscription)
    ledger.received(1)
    ledger.finish(delivery(1, pending=1))

    await ledger.close()

    assert [one.token for one in subscription.settled] == [1]
    assert subscription.closed


async def test_a_subscription_is_closed_to_the_end_also_if_that_is_cancelled():
    """Its share of the channel would stay with it, for as long as the process lives, and nobody would read it."""
    subscription = SlowToClose()
    closing = asyncio.ensure_future(Ledger(subscription).close())
    await subscription.closing.wait()

    closing.cancel()
    await asyncio.sleep(0)
    assert not closing.done()
    subscription.may_close.set()

    with pytest.raises(asyncio.CancelledError):
        await closing
    assert subscription.closed


async def test_a_second_cancellation_ends_the_closing_and_leaves_no_task_behind():
    subscription = SlowToClose()
    before = asyncio.all_tasks()
    closing = asyncio.ensure_future(Ledger(subscription).close())
    await subscription.closing.wait()

    closing.cancel()
    await asyncio.sleep(0)
    closing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await closing
    assert asyncio.all_tasks() == before
    assert not subscription.closed
