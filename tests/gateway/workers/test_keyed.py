"""Two workers' stores in one process: what is ordered is stored by whoever has its key."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.errors import PublishError, StoreFull, TransportError
from mesh_gateway.event import Event
from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.workers.keyed import KeyedTransport, Stores, together
from mesh_gateway.gateway.workers.keys import keyed, owner
from mesh_gateway.gateway.workers.neighbours import Door, Neighbour
from mesh_gateway.topology.spec import (
    BrokerSpec,
    GatewaySpec,
    HttpDestination,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    Browsable,
    ChannelSpec,
    Ensure,
    Measurable,
    Remembering,
    Removable,
    TransportContext,
)
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

CHANNEL = ChannelSpec("ns", "b")
KEYED = frozenset({("main", "ns/b")})


def event(id: str, key: str | None = None) -> Event:
    return Event.new(type="t", source="/s", id=id).with_attributes({"partitionkey": key})


def of(number: int, ids: Sequence[str]) -> list[Event]:
    """Events with these ids and keys that worker `number` of two has."""
    keys = (f"k{n}" for n in range(1_000))
    found = [key for key in keys if owner(event("x", key), 2) == number]
    return [event(id, key) for id, key in zip(ids, found, strict=False)]


@dataclass
class Worker:
    transport: KeyedTransport
    within: EmbeddedTransport
    stores: Stores
    door: asyncio.Task[None]
    path: Path

    async def ids(self) -> list[str]:
        """What lies in its store."""
        return [one.event.attributes["id"] for one in await self.within.browse("ns/b", after=None, limit=500)]


@contextlib.asynccontextmanager
async def worker(path: Path, number: int, *, opened: bool = True) -> AsyncIterator[Worker]:
    within = EmbeddedTransport(EmbeddedOptions(), TransportContext("main", path / f"state{number}"))
    neighbours = {other: Neighbour(other, str(path / f"{other}.sock")) for other in (0, 1) if other != number}
    stores = Stores(number, 2, neighbours)
    stores.keyed = KEYED
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path / f"{number}.sock"))
    listening.listen()
    door = asyncio.create_task(Door(listening, stores.open).run())
    transport = stores.placed(TransportSpec("main", "embedded"), within)
    assert isinstance(transport, KeyedTransport)
    if opened:
        await transport.open()
        await transport.ensure(CHANNEL, Ensure.CREATE)
    try:
        yield Worker(transport, within, stores, door, path / f"{number}.sock")
    finally:
        for one in neighbours.values():
            one.close()
        await end([door])
        listening.close()
        await transport.close()


async def test_each_event_is_stored_by_the_worker_that_has_its_key_whoever_took_it(tmp_path: Path):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1) as one:
        await zero.transport.publish("ns/b", [*of(0, ["a", "b"]), *of(1, ["c", "d"])])
        await one.transport.publish("ns/b", [*of(1, ["e"]), *of(0, ["f"])])

        assert await zero.ids() == ["a", "b", "f"]
        assert await one.ids() == ["c", "d", "e"]


async def test_an_event_arrives_at_its_store_as_it_was(tmp_path: Path):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1) as one:
        [mine] = of(1, ["a"])
        whole = Event(
            {**mine.attributes, "extra": "ü"}, b"\x00\xff", {"extra": "integer"}, {"traceparent": "x"}
        )
        await zero.transport.publish("ns/b", [whole])

        [stored] = await one.within.browse("ns/b", after=None, limit=10)
        got = stored.event
        assert (got.attributes, got.data, got.kinds, got.headers) == (
            whole.attributes,
            whole.data,
            whole.kinds,
            whole.headers,
        )


async def test_a_reader_is_woken_by_what_a_neighbour_has_stored(tmp_path: Path):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1) as one:
        subscription = await one.transport.subscribe("ns/b", SHARED, EARLIEST)
        receiving = asyncio.create_task(subscription.receive(10))

        await zero.transport.publish("ns/b", of(1, ["a"]))

        assert [delivery.event.attributes["id"] for delivery in await receiving] == ["a"]


async def test_where_nothing_is_ordered_every_worker_keeps_what_it_took(tmp_path: Path):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1) as one:
        zero.stores.keyed = frozenset()

        await zero.transport.publish("ns/b", [*of(0, ["a"]), *of(1, ["b"])])

        assert (await zero.ids(), await one.ids()) == (["a", "b"], [])


async def test_while_a_neighbour_is_away_only_its_events_fail_and_certainly_so(tmp_path: Path):
    async with worker(tmp_path, 0) as zero:
        with pytest.raises(PublishError, match="worker 1") as failed:
            await zero.transport.publish("ns/b", [*of(0, ["a"]), *of(1, ["b", "c"]), *of(0, ["d"])])

        assert (set(failed.value.failed), set(failed.value.unknown)) == ({1, 2}, set())
        assert failed.value.retry_after == 1
        assert await zero.ids() == ["a", "d"]


async def test_a_neighbour_whose_store_is_not_open_yet_says_so(tmp_path: Path):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1, opened=False):
        with pytest.raises(PublishError, match="not open") as failed:
            await zero.transport.publish("ns/b", of(1, ["b"]))

        assert failed.value.failed == {0}


async def test_what_a_neighbour_refuses_fails_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1) as one:

        async def full(channel: str, events: Sequence[Event]) -> None:
            raise StoreFull("the disk is full", retry_after=5)

        monkeypatch.setattr(one.within, "publish", full)
        with pytest.raises(PublishError, match="the disk is full") as failed:
            await zero.transport.publish("ns/b", [*of(0, ["a"]), *of(1, ["b"])])

        assert (set(failed.value.failed), failed.value.retry_after) == ({1}, 5)


async def test_what_a_neighbour_had_when_it_ended_is_unknown_and_the_next_goes_to_its_successor(
    tmp_path: Path,
):
    async with worker(tmp_path, 0) as zero:
        gone = socket.socket(socket.AF_UNIX)
        gone.bind(str(tmp_path / "1.sock"))
        gone.listen()
        publishing = asyncio.create_task(zero.transport.publish("ns/b", [*of(1, ["b"]), *of(0, ["a"])]))
        accepted, _ = await asyncio.to_thread(gone.accept)
        await asyncio.to_thread(accepted.recv, 1)
        accepted.close()
        gone.close()
        with pytest.raises(PublishError, match="ended meanwhile") as failed:
            await publishing
        assert (set(failed.value.failed), set(failed.value.unknown)) == (set(), {0})

        (tmp_path / "1.sock").unlink()
        async with worker(tmp_path, 1) as one:
            await zero.transport.publish("ns/b", of(1, ["c"]))
            assert await one.ids() == ["c"]


async def test_a_publish_that_is_cancelled_leaves_no_answer_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with worker(tmp_path, 0) as zero, worker(tmp_path, 1) as one:
        publish, asked, go_on = one.within.publish, asyncio.Event(), asyncio.Event()

        async def slow(channel: str, events: Sequence[Event]) -> None:
            asked.set()
            await go_on.wait()
            raise StoreFull("this answer is for the first")

        monkeypatch.setattr(one.within, "publish", slow)
        first = asyncio.create_task(zero.transport.publish("ns/b", of(1, ["a"])))
        await asked.wait()
        await end([first])
        monkeypatch.setattr(one.within, "publish", publish)
        go_on.set()

        await zero.transport.publish("ns/b", of(1, ["b"]))

        assert await one.ids() == ["b"]


async def test_it_can_do_what_the_embedded_transport_can(tmp_path: Path):
    async with worker(tmp_path, 0) as zero:
        for what in (Browsable, Removable, Measurable, Remembering):
            assert isinstance(zero.transport, what)
            assert issubclass(type(zero.transport), what)
        await zero.transport.publish("ns/b", of(0, ["a", "b"]))
        [first, _] = await zero.transport.browse("ns/b", after=None, limit=5)
        assert await zero.transport.remove("ns/b", [first.position]) == 1
        assert (await zero.transport.backlog("ns/b", SHARED)).events == 1
        await zero.transport.publish_chosen("ns/b", lambda memory: of(0, ["c"]), size=100)
        assert await zero.ids() == ["b", "c"]
        assert [check.ok for check in await zero.transport.check()] == [True, True]
        assert zero.transport.capabilities == zero.within.capabilities


def test_transports_that_workers_share_anyway_are_left_alone():
    kafka = object()
    assert Stores(0, 2, {}).placed(TransportSpec("k", "kafka"), kafka) is kafka  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([None, "failed", "unknown", "other"]), min_size=1, max_size=6))
def test_the_whole_has_failed_where_a_part_has(parts: list[str | None]):
    def outcome(kind: str | None) -> TransportError | None:
        if kind is None:
            return None
        if kind == "other":
            return TransportError("down", retry_after=2)
        return PublishError(
            "broken", failed=[0] if kind == "failed" else [], unknown=[0] if kind == "unknown" else []
        )

    indexes = [[2 * number, 2 * number + 1] for number in range(len(parts))]

    whole = together(zip(indexes, map(outcome, parts), strict=True))

    failed = {i for two, kind in zip(indexes, parts, strict=True) if kind == "other" for i in two}
    failed |= {two[0] for two, kind in zip(indexes, parts, strict=True) if kind == "failed"}
    unknown = {two[0] for two, kind in zip(indexes, parts, strict=True) if kind == "unknown"}
    if whole is None:
        assert not failed | unknown
    else:
        assert (set(whole.failed), set(whole.unknown)) == (failed, unknown)


@given(st.text(), st.integers(1, 16))
def test_a_key_has_one_worker_and_no_key_is_a_key_as_well(key: str, workers: int):
    found = owner(event("1", key or None), workers)

    assert 0 <= found < workers
    assert found == owner(event("2", key or None), workers)
    assert owner(event("1"), workers) == owner(Event({"id": "3", "partitionkey": ""}, None), workers)


def test_keys_are_spread_over_all_workers():
    found = [owner(event("x", f"order-{number}"), 4) for number in range(4_000)]

    assert all(800 < found.count(number) < 1_200 for number in range(4))


def test_keys_matter_for_brokers_on_the_embedded_transport_that_an_ordered_trigger_reads():
    to = HttpDestination("http://s/")
    spec = GatewaySpec(
        transports={"main": TransportSpec("main", "embedded"), "k": TransportSpec("k", "kafka")},
        brokers={
            f"ns/{name}": BrokerSpec("ns", name, on)
            for name, on in (("a", "main"), ("b", "main"), ("c", "k"))
        },
        triggers={
            "ns/1": TriggerSpec("ns", "1", "ns/a", to),
            "ns/2": TriggerSpec("ns", "2", "ns/b", to, order="ordered"),
            "ns/3": TriggerSpec("ns", "3", "ns/c", to, order="ordered"),
        },
    )

    assert keyed(spec) == {("main", "ns/b")}
