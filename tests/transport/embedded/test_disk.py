"""A full disk and a failing one: publishing is refused or unknown, never wrongly acknowledged."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from mesh_gateway.errors import PublishError, StoreDamaged, StoreFull
from mesh_gateway.event import Event
from mesh_gateway.testing.disk import Disk
from mesh_gateway.testing.harness import ids, numbered, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Level,
    Subscription,
)
from mesh_gateway.transport.embedded.space import RESERVE_BYTES, Reserve, Space
from mesh_gateway.transport.embedded.store import Store
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from mesh_gateway.transport.embedded.upkeep import FLUSH_SECONDS, RELIEF_SECONDS

CHANNEL = "ns/b"
MIB = 2**20
names = itertools.count()


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk(f"disk{next(names)}")
    yield disk
    disk.unregister()


@pytest.fixture
async def transport(home: Any, disk: Disk) -> EmbeddedTransport:
    opened: EmbeddedTransport = await home.open(partial(Store, vfs=disk.name))
    return opened


def large(count: int = 1) -> list[Event]:
    return [numbered(str(n), data=b"x" * (MIB // 4)) for n in range(count)]


async def fill(transport: EmbeddedTransport, most: int = 1_000) -> int:
    """Publish until it is refused; how many were stored."""
    for stored in range(most):
        try:
            await transport.publish(CHANNEL, large())
        except StoreFull:
            return stored
    raise AssertionError("it never became full")


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


# ── maxBytes ─────────────────────────────────────────────────────────────────────────────────


async def test_publishing_is_refused_at_max_bytes_and_begins_again_when_there_is_room(home, settled_in_file):
    transport = await home.open(max_bytes=4 * MIB)
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    stored = await fill(transport)
    assert 12 <= stored <= 16
    with pytest.raises(StoreFull, match="maxBytes") as refusal:
        await transport.publish(CHANNEL, large())
    assert refusal.value.retry_after

    await subscription.settle(await take(subscription, stored))
    home.clock.advance(RELIEF_SECONDS)
    for _ in range(2):  # the settles are written, then there is something to remove
        await settled_in_file(transport)

    await transport.publish(CHANNEL, large())
    assert (home.directory / "mesh.db").stat().st_size < 5 * MIB


async def test_settled_events_go_before_their_time_so_that_it_never_becomes_full(home):
    transport = await home.open(max_bytes=4 * MIB, retention="P1D")
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)

    for _ in range(60):
        await transport.publish(CHANNEL, large())
        await subscription.settle(await take(subscription, 1))
        home.clock.advance(RELIEF_SECONDS)

    assert (await transport.backlog(CHANNEL, SHARED)).events == 0


# ── a full disk ──────────────────────────────────────────────────────────────────────────────


async def test_on_a_full_disk_publishing_is_refused_and_settling_goes_on(
    home, disk, transport, settled_in_file
):
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    disk.capacity = RESERVE_BYTES + 12 * MIB
    stored = await fill(transport)
    assert stored > 5
    assert not (home.directory / "mesh.reserve").exists()

    found = await take(subscription, stored)
    await subscription.settle(found)
    home.clock.advance(FLUSH_SECONDS)
    await settled_in_file(transport)

    await transport.close()
    transport = await home.open(partial(Store, vfs=disk.name))
    assert (await transport.backlog(CHANNEL, SHARED)).events == 0
    assert home.fatal == []


async def test_after_a_full_disk_it_recovers_by_itself_when_space_returns(home, disk, transport):
    disk.capacity = RESERVE_BYTES + 8 * MIB
    stored = await fill(transport)
    stored += await fill(
        transport
    )  # what was refused had the WAL folded in, so a few may fit until the next is refused

    disk.capacity = None
    await transport.publish(CHANNEL, series(1))

    assert (home.directory / "mesh.reserve").stat().st_size == RESERVE_BYTES
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    assert ids(await take(subscription, stored + 1))[-1] == "e0"


async def test_a_refused_publish_has_stored_nothing(disk, transport):
    disk.capacity = RESERVE_BYTES + 8 * MIB
    stored = await fill(transport)
    disk.capacity = None

    browsed = await transport.browse(CHANNEL, after=None, limit=1_000)

    assert len(browsed) == stored


async def test_a_new_channel_on_a_full_disk_is_refused_and_not_half_made(disk, transport):
    disk.capacity = 1
    with pytest.raises(StoreFull):
        await transport.ensure(ChannelSpec("ns", "new"), Ensure.CREATE)

    disk.capacity = None
    await transport.ensure(ChannelSpec("ns", "new"), Ensure.CREATE)
    await transport.publish("ns/new", series(1))


async def test_settles_that_found_no_room_at_all_are_written_later(home, disk, transport, settled_in_file):
    await transport.publish(CHANNEL, series(5))
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    found = await take(subscription, 5)
    disk.capacity = 1
    await subscription.settle(found[1:])
    home.clock.advance(FLUSH_SECONDS)
    await settled_in_file(transport)

    disk.capacity = None
    home.clock.advance(FLUSH_SECONDS)
    await transport.close()

    transport = await home.open()
    assert (await transport.backlog(CHANNEL, SHARED)).events == 1


def test_without_a_reserve_free_room_inside_the_file_will_do(tmp_path, monkeypatch):
    reserve = Reserve(tmp_path / "mesh.reserve")
    space = Space(reserve, 2**40)
    monkeypatch.setattr(reserve, "make", lambda: False)
    space.ran_out()

    assert space.refuses(MIB, RESERVE_BYTES, MIB)
    assert space.refuses(MIB, RESERVE_BYTES + MIB, MIB) is None


def test_a_disk_without_room_for_a_reserve_begins_as_a_full_one(tmp_path, monkeypatch):
    reserve = Reserve(tmp_path / "mesh.reserve")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": RESERVE_BYTES}))

    assert Space(reserve, 2**40).refuses(0, 0, 1) is not None


# ── a failing disk ───────────────────────────────────────────────────────────────────────────


async def test_after_a_failed_sync_nothing_succeeds_in_this_process(home, disk, transport):
    await transport.publish(CHANNEL, series(1))
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    found = await take(subscription, 1)
    disk.failing_syncs = 1  # the next one would succeed, and would be a lie

    together = await asyncio.gather(
        *(transport.publish(CHANNEL, series(2)) for _ in range(5)), return_exceptions=True
    )
    assert [type(error) for error in together] == [PublishError] * 5
    assert all(isinstance(e, PublishError) and e.unknown == {0, 1} and not e.failed for e in together)
    assert len(home.fatal) == 1
    assert "cannot be trusted" in home.fatal[0]
    for call in (
        transport.publish(CHANNEL, series(1)),
        transport.ensure(ChannelSpec("ns", "b"), Ensure.CREATE),
        transport.subscribe(CHANNEL, SHARED, EARLIEST),
        transport.browse(CHANNEL, after=None, limit=1),
        transport.remove(CHANNEL, ["1"]),
        transport.backlog(CHANNEL, SHARED),
        subscription.receive(1),
        subscription.settle(found),
        subscription.release(found),
        transport.open(),
    ):
        with pytest.raises(StoreDamaged):
            await call
    assert [finding.ok for finding in await transport.check() if finding.level is Level.CONNECT] == [False]


async def test_a_failed_sync_wakes_who_waits_to_receive(disk, transport):
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    waiting = asyncio.ensure_future(subscription.receive(1))
    await asyncio.sleep(0)
    disk.failing_syncs = 1

    with pytest.raises(PublishError):
        await transport.publish(CHANNEL, series(1))

    with pytest.raises(StoreDamaged):
        await waiting


async def test_after_a_failed_sync_the_next_process_finds_what_was_acknowledged(home, disk, transport):
    await transport.publish(CHANNEL, series(3, "durable"))
    disk.failing_syncs = 1
    with pytest.raises(PublishError):
        await transport.publish(CHANNEL, series(1, "unknown"))
    await transport.close()
    assert (home.directory / "mesh.db-wal").exists(), "closing must not touch what cannot be trusted"

    transport = await home.open()

    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    assert ids(await take(subscription, 3)) == ["durable0", "durable1", "durable2"]


@pytest.mark.parametrize(("code", "opens"), [(errno.EIO, False), (errno.EINVAL, True), (errno.EACCES, True)])
async def test_a_state_directory_whose_sync_fails_is_not_used(home, monkeypatch, code, opens):
    """SQLite drops that error. A file system that syncs no directories is used all the same."""

    def failing(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("mesh_gateway.transport.embedded.space.os.fsync", failing)
    if not opens:
        with pytest.raises(StoreDamaged, match="cannot be synced"):
            await home.open()
        monkeypatch.undo()
    assert await (await home.open()).check()


async def test_a_failed_sync_while_the_wal_is_folded_in_is_noticed(home, disk, transport, monkeypatch):
    """SQLite itself says nothing of it: its own checkpoint after a commit drops the error."""
    monkeypatch.setattr("mesh_gateway.transport.embedded.store.CHECKPOINT_PAGES", 1)
    checkpoint = Store.checkpoint

    def breaking(store: Store) -> None:
        disk.failing_syncs = 1
        checkpoint(store)

    monkeypatch.setattr(Store, "checkpoint", breaking)

    await transport.publish(CHANNEL, series(1))  # durable: its own sync was good

    with pytest.raises((PublishError, StoreDamaged)):
        await transport.publish(CHANNEL, series(1))
    assert len(home.fatal) == 1
