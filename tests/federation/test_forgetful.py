"""A broker on a transport that cannot remember: what its process stores once, and what it remembers of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import pytest

from mesh_gateway.broker.broker import Broker
from mesh_gateway.errors import ConnectionLost, EventTooLarge, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.memory import LANES, ProcessMemory
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import Lane, Numbered, Transfer, Verdict
from mesh_gateway.federation.window import SECONDS
from mesh_gateway.testing.fakes import RecordingSubscription
from mesh_gateway.testing.harness import series
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import (
    Capabilities,
    ChannelSpec,
    Check,
    Drift,
    Ensure,
    Start,
    Subscription,
)

pytestmark = pytest.mark.anyio

HERE = "us/shop/orders"
SPEC = ChannelSpec("shop", "orders")


class Log:
    """Implements `Transport`: a list, and what the next publishes meet."""

    capabilities = Capabilities(max_batch=10)

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.meets: list[Callable[[Sequence[Event]], TransportError]] = []

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        if self.meets:
            raise self.meets.pop(0)(events)
        self.events += events

    async def open(self) -> None: ...

    async def check(self) -> list[Check]:
        return []

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        return []

    async def subscribe(self, channel: str, group: str, start: Start) -> Subscription:
        return RecordingSubscription()

    async def close(self) -> None: ...


@dataclass
class Place:
    log: Log
    receiver: Receiver

    async def received(self, given: Transfer) -> Sequence[Verdict | None]:
        told: asyncio.Future[Sequence[Verdict | None] | TransportError] = (
            asyncio.get_running_loop().create_future()
        )
        self.receiver.take(given, (), told.set_result)
        outcome = await told
        assert not isinstance(outcome, TransportError)
        return outcome

    async def words(self, given: Transfer) -> list[str | None]:
        return [verdict and verdict.word.value for verdict in await self.received(given)]

    @property
    def stored(self) -> list[str]:
        return [event.id for event in self.log.events]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    log = Log()
    channel = Channel(SPEC, log)
    channel.serve()
    made = Place(log, Receiver(Broker(SPEC.name, channel), HERE))
    tasks = [asyncio.create_task(channel.run()), asyncio.create_task(made.receiver.run())]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def transfer(*numbers: int, epoch: str = "1", floor: int = 0) -> Transfer:
    return Transfer(
        Lane("eu", "shop/to-us", epoch),
        floor,
        tuple(Numbered(n, via.crossing(series(n + 1)[n], "eu/shop/orders")) for n in numbers),
    )


# ── receiving ────────────────────────────────────────────────────────────────────────────────


async def test_what_one_process_has_stored_it_stores_once(place: Place):
    assert await place.words(transfer(1, 2)) == ["accepted", "accepted"]
    assert await place.words(transfer(1, 2, 3)) == ["duplicate", "duplicate", "accepted"]
    assert await place.words(transfer(3, epoch="2")) == ["duplicate"]

    assert place.stored == ["e1", "e2", "e3"]


async def test_an_event_that_its_transport_can_never_store_is_refused_and_harms_no_other(place: Place):
    place.log.meets = [
        lambda events: PublishError("too large", failed=[0], refused={1: EventTooLarge("over 256 KiB")})
    ]
    said = await place.received(transfer(1, 2, 3))

    assert [verdict and verdict.word.value for verdict in said] == [None, "refused", "accepted"]
    assert said[1] is not None
    assert said[1].why == "over 256 KiB"


async def test_what_may_not_be_stored_has_no_verdict_and_is_taken_when_it_comes_again(place: Place):
    place.log.meets = [lambda events: PublishError("torn", unknown=[1])]
    assert await place.words(transfer(1, 2, 3)) == ["accepted", None, "accepted"]

    assert await place.words(transfer(2)) == ["accepted"]
    assert await place.words(transfer(1, 2, 3)) == ["duplicate"] * 3


async def test_of_an_event_that_comes_twice_in_one_transfer_neither_has_a_verdict_when_it_is_not_stored(
    place: Place,
):
    event = series(1)[0]
    twice = Transfer(Lane("eu", "shop/to-us", "1"), 0, (Numbered(1, event), Numbered(2, event)))
    place.log.meets = [lambda events: ConnectionLost("cut")]

    assert await place.words(twice) == [None, None]
    assert await place.words(twice) == ["accepted", "duplicate"]
    assert place.stored == ["e0"]


async def test_transfers_that_wait_together_are_judged_one_after_the_other(place: Place):
    told = await asyncio.gather(*(place.words(transfer(1, 2, 3)) for _ in range(5)))

    assert told == [["accepted"] * 3, *[["duplicate"] * 3] * 4]
    assert place.stored == ["e1", "e2", "e3"]


# ── what is remembered ───────────────────────────────────────────────────────────────────────


def test_the_lanes_and_the_window_of_a_process_are_bounded_and_the_latest_are_kept():
    now = 0.0
    memory = ProcessMemory(lambda: now)
    for number in range(LANES + 1):
        memory.remember(Lane("eu", f"shop/{number}", "1"), Seen(number + 1), [b"%d" % number])

    assert memory.lane(Lane("eu", "shop/0", "1")).watermark == 0
    assert memory.lane(Lane("eu", "shop/1", "1")).watermark == 2
    assert memory.known([b"0", b"9999"]) == {b"0"}

    memory.remember(Lane("eu", "shop/1", "1"), Seen(7), [])
    memory.remember(Lane("eu", "shop/new", "1"), Seen(1), [])
    assert memory.lane(Lane("eu", "shop/1", "1")).watermark == 7
    assert memory.lane(Lane("eu", "shop/2", "1")).watermark == 0

    now = SECONDS + 1
    assert memory.known([b"0"]) == set()
