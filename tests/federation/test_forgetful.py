"""A broker on a transport that cannot remember: what its process remembers, and what is found when it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mesh_gateway.broker.broker import Broker
from mesh_gateway.broker.reader import sifted
from mesh_gateway.errors import ConnectionLost, EventTooLarge, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.memory import LANES, Held
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.sieve import Sieve
from mesh_gateway.federation.transfer import Lane, Numbered, Transfer, Verdict
from mesh_gateway.federation.window import SECONDS, identity
from mesh_gateway.testing.fakes import RecordingSubscription
from mesh_gateway.testing.harness import series
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import (
    SHARED,
    Capabilities,
    ChannelSpec,
    Check,
    Delivery,
    Drift,
    Ensure,
    Start,
    Subscription,
    TransportContext,
)
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from mesh_gateway.transport.ledger import Ledger

pytestmark = pytest.mark.anyio

HERE = "us/shop/orders"
SPEC = ChannelSpec("shop", "orders")
MEMORY = ChannelSpec("shop", "orders", groups=())


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
    held = Held(lambda: now)
    for number in range(LANES + 1):
        held.remember(Lane("eu", f"shop/{number}", "1"), Seen(number + 1), [b"%d" % number])

    assert held.lane(Lane("eu", "shop/0", "1")).watermark == 0
    assert held.lane(Lane("eu", "shop/1", "1")).watermark == 2
    assert held.known([b"0", b"9999"]) == {b"0"}

    held.remember(Lane("eu", "shop/1", "1"), Seen(7), [])
    held.remember(Lane("eu", "shop/new", "1"), Seen(1), [])
    assert held.lane(Lane("eu", "shop/1", "1")).watermark == 7
    assert held.lane(Lane("eu", "shop/2", "1")).watermark == 0

    now = SECONDS + 1
    assert held.known([b"0"]) == set()


# ── reading ──────────────────────────────────────────────────────────────────────────────────


@dataclass
class Memories:
    """A sieve's memory in a directory; `sieve` opens it anew, as another process would."""

    directory: Path
    opened: list[EmbeddedTransport] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def sieve(self) -> Sieve:
        await self.close()
        transport = EmbeddedTransport(EmbeddedOptions(), TransportContext("memory", self.directory))
        await transport.open()
        await transport.ensure(MEMORY, Ensure.CREATE)
        self.opened.append(transport)
        self.up.set()
        return Sieve(transport, MEMORY.name, self.up)

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().close()


@pytest.fixture
async def memories(tmp_path: Path) -> AsyncIterator[Memories]:
    made = Memories(tmp_path)
    yield made
    await made.close()


def delivery(id: int, position: str, relayed: bool = True) -> Delivery:
    event = series(id + 1)[id]
    return Delivery(via.crossing(event, "eu/shop/orders") if relayed else event, position, position)


async def test_of_copies_the_first_that_a_group_reads_counts_for_that_group(memories: Memories):
    sieve = await memories.sieve()

    assert await sieve.duplicates_of(SHARED, [delivery(1, "10"), delivery(2, "11"), delivery(1, "12")]) == {2}
    # Another group may hold the copy at 12 alone (a publish that was routed to one queue only), or before.
    assert await sieve.duplicates_of("audit", [delivery(1, "12"), delivery(1, "10")]) == {1}
    assert await sieve.duplicates_of(SHARED, [delivery(1, "12"), delivery(1, "10")]) == {0}
    assert await sieve.duplicates_of("audit", [delivery(1, "12")]) == set()
    assert sieve.duplicates == 3


async def test_a_copy_that_comes_again_is_no_duplicate_not_even_after_a_restart(memories: Memories):
    sieve = await memories.sieve()
    await sieve.duplicates_of(SHARED, [delivery(1, "10")])
    assert await sieve.duplicates_of(SHARED, [delivery(1, "10"), delivery(1, "10")]) == set()

    sieve = await memories.sieve()

    assert await sieve.duplicates_of(SHARED, [delivery(1, "11"), delivery(1, "10")]) == {0}


async def test_what_came_from_producers_is_never_compared(memories: Memories):
    sieve = await memories.sieve()
    same = [delivery(1, "10", relayed=False), delivery(1, "11", relayed=False)]

    assert await sieve.duplicates_of(SHARED, same) == set()
    assert identity(same[0].event) == identity(same[1].event)


async def test_many_readers_at_once_agree_on_the_copy(memories: Memories):
    sieve = await memories.sieve()
    asked = [[delivery(1, str(position))] for position in range(20)]

    found = await asyncio.gather(*(sieve.duplicates_of(SHARED, one) for one in asked))

    assert sum(not doubles for doubles in found) == 1


async def test_a_sieve_waits_for_its_memory_and_gives_nothing_away_before(memories: Memories):
    sieve = await memories.sieve()
    memories.up.clear()
    asking = asyncio.ensure_future(sieve.duplicates_of(SHARED, [delivery(1, "10")]))
    await asyncio.sleep(0)
    assert not asking.done()

    memories.up.set()
    assert await asking == set()


async def test_a_memory_that_fails_makes_nothing_a_duplicate(memories: Memories):
    sieve = await memories.sieve()
    await memories.close()
    with pytest.raises(TransportError):
        await sieve.duplicates_of(SHARED, [delivery(1, "10")])

    sieve = await memories.sieve()
    assert await sieve.duplicates_of(SHARED, [delivery(1, "11")]) == set()


async def test_duplicates_are_settled_and_all_others_are_kept(memories: Memories):
    sieve = await memories.sieve()
    subscription = RecordingSubscription()
    ledger = Ledger(subscription)
    deliveries = [delivery(1, "10"), delivery(1, "11"), delivery(2, "12")]
    ledger.received(3)

    kept = await sifted(sieve, SHARED, deliveries, ledger)
    await ledger.flush()

    assert [one.position for one in kept] == ["10", "12"]
    assert [one.position for one in subscription.settled] == ["11"]
    assert ledger.outstanding == 2
