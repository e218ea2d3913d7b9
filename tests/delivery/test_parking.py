"""The parked channel's reader: brings back whatever waits there, whoever has put it there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from mesh_gateway.delivery.counters import TriggerCounters
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.parking import LOOK_AGAIN, LOOK_SOON, Parking
from mesh_gateway.delivery.sink import ACCEPTED
from mesh_gateway.delivery.window import Window
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.testing.harness import series
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Purpose,
    TransportContext,
)
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from tests.harness import PATIENCE

PARKED = ChannelSpec("ns", "b", Purpose.PARKED, trigger="t")


class Asked(EmbeddedTransport):
    """Says when it was asked what waits."""

    def __init__(self) -> None:
        super().__init__(EmbeddedOptions(), TransportContext("embedded", None))
        self.asked = asyncio.Semaphore(0)

    async def backlog(self, channel: str, group: str):
        found = await super().backlog(channel, group)
        self.asked.release()
        return found


@pytest.fixture
async def transport() -> AsyncIterator[Asked]:
    transport = Asked()
    await transport.open()
    await transport.ensure(PARKED, Ensure.CREATE)
    yield transport
    await transport.close()


async def test_where_what_is_parked_comes_first_the_reader_is_held_until_it_has_come_back(transport):
    gate, room = Gate(), [0]
    taken: list[str] = []

    def take(delivery: Delivery, finish: Callable[[Delivery], None]) -> None:
        assert gate._holders, "the reader may pass already"
        taken.append(delivery.event.id)
        finish(delivery)

    await transport.publish(PARKED.name, series(3))
    parking = Parking(
        Channel(PARKED, transport),
        gate=gate,
        take=take,
        room=lambda: room[0],
        counters=TriggerCounters(),
        clock=ManualClock(),
        first=True,
    )
    assert gate._holders == {parking}
    running = asyncio.ensure_future(parking.run())
    async with asyncio.timeout(20):
        await transport.asked.acquire()
        room[0] = 10
        parking.resume()
        await gate.passable()

    running.cancel()
    await asyncio.wait([running])
    assert taken == ["e0", "e1", "e2"]


async def test_what_another_gateway_has_parked_and_left_comes_back(transport):
    clock = ManualClock()
    taken: asyncio.Queue[str] = asyncio.Queue()

    def take(delivery: Delivery, finish: Callable[[Delivery], None]) -> None:
        taken.put_nowait(delivery.event.id)
        finish(delivery)

    parking = Parking(
        Channel(PARKED, transport),
        gate=Gate(),
        take=take,
        room=lambda: 10,
        counters=TriggerCounters(),
        clock=clock,
    )
    running = asyncio.ensure_future(parking.run())
    async with asyncio.timeout(20):
        await transport.asked.acquire()
        await asyncio.sleep(0)
        clock.advance(LOOK_AGAIN)
        await transport.asked.acquire()
        assert parking.drained, "nothing was there"

        await transport.publish(PARKED.name, series(3))
        clock.advance(LOOK_AGAIN)
        found = [await taken.get() for _ in range(3)]

    running.cancel()
    await asyncio.wait([running])
    assert found == ["e0", "e1", "e2"]


async def test_what_a_server_still_holds_for_a_gateway_that_has_died_is_looked_for_soon_and_then_less_often(
    transport,
):
    await transport.publish(PARKED.name, series(3))
    dying = await transport.subscribe(PARKED.name, SHARED, EARLIEST)
    assert len(await dying.receive(3)) == 3
    clock = ManualClock()
    taken: asyncio.Queue[str] = asyncio.Queue()

    def take(delivery: Delivery, finish: Callable[[Delivery], None]) -> None:
        taken.put_nowait(delivery.event.id)
        finish(delivery)

    parking = Parking(
        Channel(PARKED, transport), gate=Gate(), take=take, room=lambda: 10, counters=TriggerCounters(), clock=clock
    )  # fmt: skip
    running = asyncio.ensure_future(parking.run())

    async def looks(count: int) -> None:
        for _ in range(count):
            await transport.asked.acquire()
        for _ in range(5):
            await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        await looks(2)  # at the start, and when that has brought nothing
        for number in range(4):
            clock.advance(LOOK_SOON * 2**number - 0.1)
            await asyncio.sleep(0)
            assert transport.asked.locked(), "it looks as often as before"
            clock.advance(0.1)
            await looks(2)
        await dying.close()
        clock.advance(LOOK_SOON * 2**4)
        found = [await taken.get() for _ in range(3)]

    running.cancel()
    await asyncio.wait([running])
    assert found == ["e0", "e1", "e2"]


async def test_the_reader_of_the_parked_channel_hears_of_room_also_when_it_has_found_nothing_there(rig):
    r = rig(window=Window(events=4))
    r.offer("1", "2", "3", "4")
    waiting = asyncio.ensure_future(r.trigger.parking._wait_for_room())
    await asyncio.sleep(0)
    assert r.trigger.parking.drained
    for _ in range(4):
        r.sink.end(ACCEPTED)
    await asyncio.wait([waiting], timeout=PATIENCE)

    assert waiting.done(), "what another gateway parks would wait until this one parks something"
    assert waiting.result() == 4
