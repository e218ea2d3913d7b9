"""Transfers into a broker on the embedded store: once each, also after a crash."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mesh_gateway.broker.broker import Broker
from mesh_gateway.errors import ConnectionLost, StoreFull, Throttled, TransportError
from mesh_gateway.event import Event
from mesh_gateway.federation import receiver as receiver_module
from mesh_gateway.federation import via
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.inbox import Judgement
from mesh_gateway.federation.lanes import EPOCHS, Lanes
from mesh_gateway.federation.receiver import Receiver, Verdicts
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import Lane, Numbered, Offer, Transfer
from mesh_gateway.testing.harness import series
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    ChannelSpec,
    Ensure,
    Memory,
    TransportContext,
)
from mesh_gateway.transport.embedded.memory import KEPT_SECONDS
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

pytestmark = pytest.mark.anyio

PATIENCE = 30.0

HERE = "us/shop/orders"
SPEC = ChannelSpec("shop", "orders")


@dataclass
class Place:
    """A broker on a store in a directory."""

    directory: Path
    wall: float = 1_000_000.0
    opened: list[EmbeddedTransport] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self, **options: int) -> Receiver:
        context = TransportContext("embedded", self.directory)
        transport = EmbeddedTransport(EmbeddedOptions(**options), context, now=lambda: self.wall)
        self.opened.append(transport)
        await transport.open()
        await transport.ensure(SPEC, Ensure.CREATE)
        channel = Channel(SPEC, transport)
        channel.serve()
        receiver = Receiver(Broker(SPEC.name, channel), HERE)
        self.tasks.append(asyncio.create_task(receiver.run()))
        return receiver

    async def stored(self) -> list[Event]:
        subscription = await self.opened[-1].subscribe(SPEC.name, SHARED, EARLIEST)
        found = [delivery.event for delivery in await subscription.receive(1_000)]
        await subscription.close()
        return found

    async def after_a_crash(self, copy: Path) -> Place:
        copy.mkdir()
        for name in ("mesh.db", "mesh.db-wal"):
            shutil.copy(self.directory / name, copy / name)
        return Place(copy, self.wall)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "state")
    yield made
    for task in made.tasks:
        task.cancel()
        await asyncio.wait([task])
    for transport in made.opened:
        await transport.close()


def transfer(*numbers: int, epoch: str = "1", floor: int = 0, events: list[Event] | None = None) -> Transfer:
    given = events or [series(number + 1)[number] for number in numbers]
    return Transfer(
        Lane("eu", "shop/to-us", epoch),
        floor,
        tuple(Numbered(n, e) for n, e in zip(numbers, given, strict=True)),
    )


async def received(receiver: Receiver, given: Transfer, types: tuple[str, ...] = ()) -> Verdicts:
    told: asyncio.Future[Verdicts | TransportError] = asyncio.get_running_loop().create_future()
    receiver.take(given, types, told.set_result)
    outcome = await told
    if isinstance(outcome, TransportError):
        raise outcome
    return outcome


async def words(receiver: Receiver, given: Transfer) -> list[str]:
    verdicts = await received(receiver, given)
    return [verdict.word.value for verdict in verdicts if verdict is not None]


async def test_what_comes_is_stored_with_the_marks_of_its_way(place: Place):
    receiver = await place.open()
    event = via.crossing(series(1)[0], "eu/shop/orders")

    assert await words(receiver, transfer(1, events=[event])) == ["accepted"]

    [stored] = await place.stored()
    assert stored.attributes[via.VIA] == "eu/shop/orders"
    assert stored.attributes[via.HOPS] == "1"
    assert stored.attributes["knativebrokerttl"] == "255"
    assert "knativearrivaltime" in stored.attributes


async def test_a_transfer_that_comes_again_is_stored_once(place: Place):
    receiver = await place.open()
    await received(receiver, transfer(1, 2))

    assert await words(receiver, transfer(1, 2, 3)) == ["duplicate", "duplicate", "accepted"]
    assert [event.id for event in await place.stored()] == ["e1", "e2", "e3"]


async def test_the_same_transfer_many_times_at_once_is_stored_once(place: Place):
    receiver = await place.open()

    told = await asyncio.gather(*(words(receiver, transfer(1, 2, 3)) for _ in range(20)))

    assert sum(one == ["accepted"] * 3 for one in told) == 1
    assert sum(one == ["duplicate"] * 3 for one in told) == 19
    assert [event.id for event in await place.stored()] == ["e1", "e2", "e3"]


async def test_a_crash_forgets_nothing_that_was_answered(place: Place, tmp_path: Path):
    receiver = await place.open()
    await received(receiver, transfer(1, 3))

    again = await place.after_a_crash(tmp_path / "copy")
    receiver = await again.open()
    place.tasks += again.tasks

    assert await words(receiver, transfer(1, 2, 3)) == ["duplicate", "accepted", "duplicate"]
    assert [event.id for event in await again.stored()] == ["e1", "e3", "e2"]
    await again.opened[-1].close()


async def test_a_sender_that_has_started_anew_is_known_by_its_events(place: Place):
    receiver = await place.open()
    await received(receiver, transfer(1, 2))

    events = series(4)[1:]
    assert await words(receiver, transfer(1, 2, 3, epoch="2", events=events)) == [
        "duplicate",
        "duplicate",
        "accepted",
    ]


async def test_events_are_known_for_a_day_and_go_as_others_come(place: Place):
    receiver = await place.open()
    await received(receiver, transfer(1, 2))
    place.wall += 2 * KEPT_SECONDS

    assert await words(receiver, transfer(1, epoch="2", events=[series(10)[9]])) == ["accepted"]
    assert await words(receiver, transfer(1, 2, epoch="3")) == ["accepted", "accepted"]


async def test_what_found_no_room_is_not_remembered(place: Place, monkeypatch: pytest.MonkeyPatch):
    receiver = await place.open()
    committer = place.opened[-1]._committer
    monkeypatch.setattr(committer.space, "refuses", lambda *sizes: "the store is full")
    with pytest.raises(StoreFull):
        await received(receiver, transfer(1))
    monkeypatch.undo()

    assert await words(receiver, transfer(1)) == ["accepted"]


async def test_while_the_transport_is_down_nothing_is_judged(place: Place):
    receiver = await place.open()
    receiver._broker.channel.refuse(ConnectionLost("away"))

    with pytest.raises(TransportError, match="transport is down"):
        await received(receiver, transfer(1))


async def test_what_goes_goes_together_with_what_came_together(place: Place):
    await place.open()
    transport = place.opened[-1]

    async def remember(*identities: bytes) -> set[bytes]:
        found: set[bytes] = set()

        def choose(memory: Memory) -> list[Event]:
            memory.remember(identities)
            found.update(memory.known([b"own", b"copy", b"other", b"others"]))
            return []

        await transport.publish_chosen(SPEC.name, choose, size=0)
        return found

    await remember(b"own", b"copy", b"other", b"others")
    place.wall += 2 * KEPT_SECONDS

    assert await remember(b"new") == set()


async def test_marks_of_one_brokers_own_are_left_behind_by_whoever_brings_them(place: Place):
    receiver = await place.open()
    event = series(1)[0].with_attributes(
        {"meshdue": "tomorrow", "meshretried": "x", "meshtwin": "y", "meshvia": "eu/a/b"}
    )

    await received(receiver, transfer(1, events=[event]))

    [stored] = await place.stored()
    assert [name for name in stored.attributes if name.startswith("mesh")] == ["meshvia"]


async def test_two_relays_of_a_peer_have_numbers_of_their_own(place: Place):
    receiver = await place.open()
    await received(receiver, transfer(1))
    other = Transfer(Lane("eu", "shop/other", "1"), 0, (Numbered(1, series(3)[2]),))

    assert await words(receiver, other) == ["accepted"]


async def test_transfers_that_wait_are_judged_in_order_and_told_apart(place: Place):
    receiver = await place.open()
    told = await asyncio.gather(
        words(receiver, transfer(1, 2)),
        words(receiver, transfer(2, 3, floor=1)),
        words(receiver, transfer(1, epoch="2", events=[series(4)[3]])),
    )

    assert list(told) == [["accepted", "accepted"], ["duplicate", "accepted"], ["duplicate"]]


async def test_a_receiver_that_ends_tells_everybody_who_waits(place: Place, monkeypatch: pytest.MonkeyPatch):
    receiver = await place.open()
    storing = asyncio.Event()

    async def never(taken: object, offers: object) -> list[Judgement]:
        storing.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(receiver, "_store", never)
    first = asyncio.ensure_future(received(receiver, transfer(1)))
    await storing.wait()
    second = asyncio.ensure_future(received(receiver, transfer(2)))
    await asyncio.sleep(0)
    place.tasks[-1].cancel()

    for waiting in (first, second):
        with pytest.raises(ConnectionLost):
            await waiting


async def test_what_comes_to_a_receiver_that_has_ended_is_told_so_and_kept_by_nobody(place: Place):
    receiver = await place.open()
    await received(receiver, transfer(1))  # so it has begun
    [task] = place.tasks
    task.cancel()
    await asyncio.wait([task])

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectionLost, match="stops"):
            await received(receiver, transfer(2))
        assert isinstance(await asked(receiver, EU, series(1)[0]), ConnectionLost)
    assert receiver._waiting == []


async def test_a_transfer_over_the_size_of_a_commit_goes_in_one_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(receiver_module, "MOST_BYTES", 3_000)
    receiver = await place.open()
    commits: list[int] = []
    store = receiver._store

    async def counted(taken, offers):
        commits.append(len(taken))
        return await store(taken, offers)

    monkeypatch.setattr(receiver, "_store", counted)
    await asyncio.gather(
        *(received(receiver, transfer(n, floor=n - 1)) for n in (1, 2)),
        received(receiver, transfer(3, 4, 5, 6, 7)),
        received(receiver, transfer(8)),
    )

    assert commits == [2, 1, 1]
    assert len(await place.stored()) == 8


async def test_what_waits_is_bounded_and_what_does_not_fit_may_come_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(receiver_module, "MOST_WAITING", 3_000)
    receiver = await place.open()

    told = await asyncio.gather(*(words(receiver, transfer(n)) for n in range(1, 5)), return_exceptions=True)

    assert told[:2] == [["accepted"], ["accepted"]]
    assert all(isinstance(one, Throttled) for one in told[2:])
    assert await words(receiver, transfer(3)) == ["accepted"]


async def test_a_store_of_the_version_before_learns_to_remember(place: Place):
    await place.open()
    await place.opened.pop().close()
    older = sqlite3.connect(place.directory / "mesh.db")
    older.executescript("DROP TABLE remembered; DROP TABLE came; PRAGMA user_version=2;")
    older.close()

    receiver = await place.open()

    assert await words(receiver, transfer(1)) == ["accepted"]


def test_of_a_relay_the_latest_epochs_are_kept():
    lanes = Lanes()
    for epoch in range(EPOCHS + 1):
        lanes.put(str(epoch), Seen(epoch + 1, {epoch + 5}))

    again = Lanes(lanes.stored())

    assert 1 not in again.of("0")
    assert (again.of("1").watermark, again.of("1").beyond) == (2, {6})


# ── offers ───────────────────────────────────────────────────────────────────────────────────

EU, AP = Lane("eu", "shop/to-us", "1"), Lane("ap", "shop/to-us", "1")


def asked(receiver: Receiver, lane: Lane, *events: Event) -> asyncio.Future[Sequence[bool] | TransportError]:
    told: asyncio.Future[Sequence[bool] | TransportError] = asyncio.get_running_loop().create_future()
    receiver.offer(Offer(lane, tuple(map(identity, events))), told.set_result)
    return told


async def test_only_what_is_not_stored_yet_is_wanted(place: Place):
    receiver = await place.open()
    first, second = series(2)
    await received(receiver, transfer(1, events=[first]))

    assert await asked(receiver, AP, first, second) == [False, True]
    assert receiver.verdicts["ap", "unwanted"] == 1


async def test_what_two_peers_offer_comes_from_one_of_them(place: Place):
    receiver = await place.open()
    first, second = series(2)
    assert await asked(receiver, EU, first) == [True]
    waiting = asked(receiver, AP, first, second)
    await received(receiver, transfer(1, events=[first]))

    assert await waiting == [False, True]


async def test_who_has_waited_long_enough_is_asked_for_what_has_not_come(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    receiver = await place.open()
    (first,) = series(1)
    assert await asked(receiver, EU, first) == [True]
    monkeypatch.setattr(receiver_module, "WAIT", 0.0)

    assert await asked(receiver, AP, first) == [True]


async def test_who_asks_anew_gets_an_answer_at_once_and_the_older_question_ends(place: Place):
    receiver = await place.open()
    (first,) = series(1)
    assert await asked(receiver, EU, first) == [True]
    older = asked(receiver, AP, first)

    assert await asked(receiver, AP, first) == [True]
    assert isinstance(await older, ConnectionLost)


async def test_offers_fail_with_the_store_and_with_the_receiver(place: Place):
    receiver = await place.open()
    (first,) = series(1)
    assert await asked(receiver, EU, first) == [True]
    waiting = asked(receiver, AP, first)
    await asked(receiver, Lane("af", "shop/to-us", "1"), series(2)[1])  # so the other one was looked at
    [task] = place.tasks
    task.cancel()

    assert isinstance(await waiting, ConnectionLost)
    receiver._broker.channel.refuse(ConnectionLost("down"))
    assert isinstance(await asked(receiver, AP, first), ConnectionLost)


async def test_of_a_cluster_with_more_offers_than_may_wait_everything_is_wanted_and_others_wait_as_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(receiver_module, "MOST_OFFERS", 1)
    receiver = await place.open()
    (first,) = series(1)
    assert await asked(receiver, EU, first) == [True]
    waiting = asked(receiver, AP, first)

    assert await asked(receiver, Lane("ap", "shop/other", "1"), first) == [True]
    other = asked(receiver, Lane("af", "shop/to-us", "1"), first)
    await received(receiver, transfer(1, events=[first]))
    assert (await waiting, await other) == ([False], [False])


async def test_a_question_asked_out_of_an_answer_does_not_end_the_receiver(place: Place):
    receiver = await place.open()
    (first,) = series(1)
    answers: list[Sequence[bool] | TransportError] = []

    def ask_on(answer: Sequence[bool] | TransportError) -> None:
        answers.append(answer)
        if len(answers) < 2_000:
            receiver.offer(Offer(EU, (identity(first),)), ask_on)
            receiver.offer(Offer(EU, (identity(first),)), ask_on)

    ask_on(())
    async with asyncio.timeout(PATIENCE):
        while len(answers) < 2_000:
            await asyncio.sleep(0)
    assert await asked(receiver, AP, first) == [True]
