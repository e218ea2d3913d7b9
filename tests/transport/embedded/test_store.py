"""The embedded store in trouble: full, damaged, failing; and what it forgets on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from mesh_gateway.errors import StoreDamaged, StoreFull, TransportError
from mesh_gateway.event import Event
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
from mesh_gateway.transport.embedded.store import Row, Store
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

SPEC = ChannelSpec("ns", "b")


def events(count: int, size: int = 10) -> list[Event]:
    return [Event.new(type="t", source="/s", id=str(n), data=b"x" * size) for n in range(count)]


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.event.id for delivery in deliveries]


class Rig:
    def __init__(self, path: Path | None, **options: Any) -> None:
        self.unreadable: list[tuple[str, str]] = []
        self.fatal: list[str] = []
        self.now = 1_000_000.0
        self.monotonic = 0.0
        self.store_class: type[Store] = Store
        self.context = TransportContext(
            "embedded",
            path,
            on_unreadable=lambda *what: self.unreadable.append(what),
            on_fatal=self.fatal.append,
        )
        self.options = EmbeddedOptions(**options)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EmbeddedTransport]:
        transport = EmbeddedTransport(
            self.options,
            self.context,
            open_store=lambda path: self.store_class(path),
            clock=lambda: self.monotonic,
            now=lambda: self.now,
        )
        await transport.open()
        await transport.ensure(SPEC, Ensure.CREATE)
        try:
            yield transport
        finally:
            await transport.close()


async def test_a_damaged_record_is_set_aside_with_its_bytes_and_the_rest_flows(tmp_path: Path):
    rig = Rig(tmp_path)
    async with rig.opened() as transport:
        await transport.publish(SPEC.name, events(5))
    database: Any = apsw.Connection(str(tmp_path / "mesh.db"))
    database.execute(
        "UPDATE events_1 SET body = substr(body, 1, 20) || x'ff' || substr(body, 22) WHERE number = 3"
    )
    database.close()

    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        received = await subscription.receive(10)
        await subscription.settle(received)
        backlog = await transport.backlog(SPEC.name, SHARED)
    database = apsw.Connection(str(tmp_path / "mesh.db"))
    kept = database.execute(
        "SELECT channel, number, length(CAST(body AS BLOB)) > 20 FROM quarantine"
    ).fetchall()
    database.close()

    assert ids(received) == ["0", "1", "3", "4"]
    assert backlog.events == 0
    assert [channel for channel, _ in rig.unreadable] == [SPEC.name]
    assert kept == [(SPEC.name, 3, 1)]


async def test_a_store_at_its_limit_refuses_events_and_takes_them_again_when_there_is_room(tmp_path: Path):
    rig = Rig(tmp_path, maxBytes=2**20)
    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        stored = await fill(transport)
        received: list[Delivery] = []
        while len(received) < stored:
            received += await subscription.receive(256)
        await subscription.settle(received)
        await transport.publish(SPEC.name, events(20, 1_000))

        assert stored >= 500
        assert len(await subscription.receive(100)) == 20


async def fill(transport: EmbeddedTransport) -> int:
    """Publish until the store is full; how many events it took."""
    for stored in range(0, 20_000, 20):
        try:
            await transport.publish(SPEC.name, events(20, 1_000))
        except StoreFull:
            return stored
    raise AssertionError("the store takes more than its limit")


class FullStore(Store):
    """A disk that is full for what needs room."""

    full = False

    def append(self, channel: int, rows: Sequence[Row]) -> None:
        super().append(channel, rows)
        if FullStore.full:
            raise apsw.FullError("database or disk is full")


async def test_on_a_full_disk_settling_goes_on_and_publishing_comes_back_by_itself(tmp_path: Path):
    rig = Rig(tmp_path)
    rig.store_class = FullStore
    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        await transport.publish(SPEC.name, events(3))
        received = await subscription.receive(10)
        FullStore.full = True
        try:
            publishing = asyncio.ensure_future(transport.publish(SPEC.name, events(1)))
            await subscription.settle(received)
            with pytest.raises(StoreFull):
                await publishing
        finally:
            FullStore.full = False
        await transport.publish(SPEC.name, events(2))

        assert ids(await subscription.receive(10)) == ["0", "1"]
        assert rig.fatal == []
    async with rig.opened() as transport:
        assert (await transport.backlog(SPEC.name, SHARED)).events == 2


async def test_numbers_stay_dense_after_a_publish_that_failed(tmp_path: Path):
    rig = Rig(tmp_path)
    rig.store_class = FullStore
    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        FullStore.full = True
        try:
            with pytest.raises(StoreFull):
                await transport.publish(SPEC.name, events(5))
        finally:
            FullStore.full = False
        await transport.publish(SPEC.name, events(1))
        (delivery,) = await subscription.receive(10)

        assert delivery.position == "1"


class BrokenStore(Store):
    """A disk whose sync fails."""

    def append(self, channel: int, rows: Sequence[Row]) -> None:
        raise apsw.IOError("disk I/O error")


async def test_after_a_failed_write_nothing_succeeds_any_more_and_the_gateway_is_told(tmp_path: Path):
    rig = Rig(tmp_path)
    rig.store_class = BrokenStore
    async with rig.opened() as transport:
        with pytest.raises(StoreDamaged):
            await transport.publish(SPEC.name, events(1))
        with pytest.raises(StoreDamaged):
            await transport.ensure(ChannelSpec("ns", "other"), Ensure.CREATE)

        assert len(rig.fatal) == 1


async def test_what_every_group_has_settled_is_removed_after_its_retention(tmp_path: Path):
    rig = Rig(tmp_path, retention="PT1M")
    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        await transport.publish(SPEC.name, events(10))
        received = await subscription.receive(10)
        await subscription.settle(received[:6])
        rig.now += 30
        rig.monotonic += 30
        await transport.publish(SPEC.name, events(1))
        young = len(await transport.browse(SPEC.name, after=None, limit=100))
        rig.now += 60
        rig.monotonic += 60
        await transport.publish(SPEC.name, events(1))
        old = await transport.browse(SPEC.name, after=None, limit=100)

        assert young == 11
        assert [int(one.position) for one in old] == [7, 8, 9, 10, 11, 12]


async def test_numbers_never_come_again_also_when_everything_was_removed(tmp_path: Path):
    rig = Rig(tmp_path, retention=0)
    letters = ChannelSpec("ns", "b", Purpose.DEAD_LETTERS, groups=())
    async with rig.opened() as transport:
        await transport.ensure(letters, Ensure.CREATE)
        await transport.publish(letters.name, events(3))
        await transport.remove(letters.name, ["1", "2", "3"])
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        await transport.publish(SPEC.name, events(3))
        await subscription.settle(await subscription.receive(10))
        rig.monotonic += 10
        rig.now += 10
        await transport.publish(letters.name, events(1))
    async with rig.opened() as transport:
        await transport.publish(letters.name, events(1))
        await transport.publish(SPEC.name, events(1))
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)

        assert [one.position for one in await transport.browse(letters.name, after=None, limit=10)] == [
            "4",
            "5",
        ]
        assert [d.position for d in await subscription.receive(10)] == ["4"]


async def test_a_lagging_group_reads_from_the_file_what_memory_has_forgotten(tmp_path: Path):
    rig = Rig(tmp_path)
    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        for _ in range(60):
            await transport.publish(SPEC.name, events(100))
        received: list[Delivery] = []
        while len(received) < 6_000:
            received += await subscription.receive(256)

        assert [int(d.position) for d in received] == list(range(1, 6_001))


async def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path):
    database = apsw.Connection(str(tmp_path / "mesh.db"))
    database.execute("CREATE TABLE theirs(x)")
    database.close()

    with pytest.raises(StoreDamaged, match="something else"):
        async with Rig(tmp_path).opened():
            pass


async def test_a_newer_schema_is_refused(tmp_path: Path):
    async with Rig(tmp_path).opened():
        pass
    database: Any = apsw.Connection(str(tmp_path / "mesh.db"))
    database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(StoreDamaged, match="schema 99"):
        async with Rig(tmp_path).opened():
            pass


async def test_a_cancelled_publish_that_lands_is_handed_out_with_its_own_number():
    rig = Rig(None)
    async with rig.opened() as transport:
        subscription = await transport.subscribe(SPEC.name, SHARED, EARLIEST)
        publishing = asyncio.ensure_future(transport.publish(SPEC.name, events(2)))
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing])
        await transport.publish(SPEC.name, [Event.new(type="t", source="/s", id="after")])
        received: list[Delivery] = []
        while len(received) < 3:
            received += await subscription.receive(10)

        assert ids(received) == ["0", "1", "after"]
        assert [d.position for d in received] == ["1", "2", "3"]


async def test_a_channel_that_was_never_made_is_an_error():
    async with Rig(None).opened() as transport:
        with pytest.raises(TransportError, match="ensure it first"):
            await transport.publish("ns/nope", events(1))
