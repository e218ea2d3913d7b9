"""The embedded transport beyond the kit: what only it has, and what its numbers promise."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, StoreDamaged, Unsupported
from mesh_gateway.testing.harness import ids, numbered, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    LATEST,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Purpose,
    Start,
    Subscription,
    TransportContext,
)
from mesh_gateway.transport.embedded import records
from mesh_gateway.transport.embedded import tail as tail_module
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.schema import NUMBER_BITS
from mesh_gateway.transport.embedded.store import Store
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from mesh_gateway.transport.embedded.upkeep import FLUSH_SECONDS, PURGE_EVENTS, PURGE_SECONDS

CHANNEL = "ns/b"


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    """Exactly `count` deliveries, however many receives it takes."""
    found: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


def crashed(directory: Path, copy: Path) -> Path:
    """What a crash now would leave of the state directory."""
    copy.mkdir()
    for name in ("mesh.db", "mesh.db-wal"):
        shutil.copy(directory / name, copy / name)
    return copy


class CountingStore(Store):
    """Counts what is asked of the file."""

    __slots__ = ("commits", "reads")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reads = self.commits = 0

    def read(self, *args: Any, **kwargs: Any) -> list[tuple[int, float, bytes]]:
        self.reads += 1
        return super().read(*args, **kwargs)

    def transact(self, works: Any) -> list[Any]:
        self.commits += 1
        return super().transact(works)


# ── commits and reads ────────────────────────────────────────────────────────────────────────


async def test_what_comes_together_is_one_commit_across_channels(home):
    transport = await home.open(CountingStore)
    for name in "cd":
        await transport.ensure(ChannelSpec("ns", name), Ensure.CREATE)
    store = transport._committer.store
    before = store.commits

    await asyncio.gather(*(transport.publish(f"ns/{name}", series(3)) for name in "bcdbcdbcd"))

    assert store.commits - before <= 2  # the first may have set off alone


async def test_a_reader_that_keeps_up_never_reads_the_file(home):
    transport = await home.open(CountingStore)
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)

    for _ in range(20):
        await transport.publish(CHANNEL, series(50))
        await subscription.settle(await take(subscription, 50))

    assert transport._committer.store.reads == 0


async def test_a_reader_that_fell_out_of_the_tail_reads_the_file_and_catches_up(home, monkeypatch):
    monkeypatch.setattr(tail_module, "TAIL_EVENTS", 100)
    transport = await home.open(CountingStore)
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    for begin in range(0, 1_000, 50):
        await transport.publish(CHANNEL, [numbered(str(n)) for n in range(begin, begin + 50)])

    found = await take(subscription, 1_000)
    reads = transport._committer.store.reads
    await transport.publish(CHANNEL, [numbered("newest")])
    [newest] = await take(subscription, 1)

    assert ids(found) == [str(n) for n in range(1_000)]
    assert newest.event.id == "newest"
    assert 1 <= reads == transport._committer.store.reads


async def test_large_events_are_read_in_small_pages(home, monkeypatch):
    monkeypatch.setattr(records, "READ_BYTES", 100_000)
    transport = await home.open(CountingStore)
    await transport.publish(CHANNEL, [numbered(str(n), data=b"x" * 40_000) for n in range(9)])
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)

    found = await take(subscription, 9)
    browsed = await transport.browse(CHANNEL, after=None, limit=9)

    assert ids(found) == [str(n) for n in range(9)]
    assert transport._committer.store.reads >= 3
    assert len(browsed) == 3


async def test_a_cancelled_publish_is_still_handed_out_when_it_became_durable(transport):
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    publishing = asyncio.ensure_future(transport.publish(CHANNEL, series(1)))
    await asyncio.sleep(0)

    publishing.cancel()

    assert ids(await take(subscription, 1)) == ["e0"]


# ── settles ──────────────────────────────────────────────────────────────────────────────────


async def test_settles_are_written_by_themselves_a_moment_later(home, transport, tmp_path, settled_in_file):
    await transport.publish(CHANNEL, series(4))
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    found = await take(subscription, 4)
    await subscription.settle([found[0], found[2]])

    home.clock.advance(FLUSH_SECONDS)
    await settled_in_file(transport)

    after = await home.open(at=crashed(home.directory, tmp_path / "crash"))
    again = await after.subscribe(CHANNEL, SHARED, EARLIEST)
    assert ids(await take(again, 2)) == ["e1", "e3"]


async def test_closing_a_subscription_writes_its_settles(home, transport, tmp_path):
    await transport.publish(CHANNEL, series(2))
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    await subscription.settle(await take(subscription, 2))

    await subscription.close()

    after = await home.open(at=crashed(home.directory, tmp_path / "crash"))
    assert (await after.backlog(CHANNEL, SHARED)).events == 0


async def test_one_stuck_event_costs_nothing_however_many_are_settled_behind_it(home, transport):
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    await transport.publish(CHANNEL, [numbered("stuck")])
    await take(subscription, 1)
    for _ in range(20):
        await transport.publish(CHANNEL, series(500))
        await subscription.settle(await take(subscription, 500))
    await transport.close()
    database = sqlite3.connect(home.directory / "mesh.db")
    assert database.execute("SELECT first, last FROM settled").fetchall() == [(2, 10_001)]
    database.close()

    transport = await home.open(CountingStore)
    again = await transport.subscribe(CHANNEL, SHARED, EARLIEST)

    assert ids(await take(again, 1)) == ["stuck"]
    assert await transport.backlog(CHANNEL, SHARED) == await transport.backlog(CHANNEL, SHARED)
    assert (await transport.backlog(CHANNEL, SHARED)).events == 1
    assert transport._committer.store.reads <= 2, "the settled ones are leapt over, not read"


async def test_released_events_wait_for_their_delay_and_not_longer(home, transport):
    await transport.publish(CHANNEL, series(2))
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    now, later = await take(subscription, 2)
    await subscription.release([later], 3_600.0)
    await subscription.release([now], 0.5)

    home.clock.advance(0.5)
    assert ids(await take(subscription, 1)) == [now.event.id]
    home.clock.advance(3_599.0)
    waiting = asyncio.ensure_future(subscription.receive(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    home.clock.advance(0.5)
    assert ids(await waiting) == [later.event.id]


async def test_a_closed_subscription_refuses_everything(transport):
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    await subscription.close()

    for call in (subscription.receive(1), subscription.settle([]), subscription.release([])):
        with pytest.raises(ConnectionLost, match="closed"):
            await call


# ── retention ────────────────────────────────────────────────────────────────────────────────


async def stored_ids(transport: EmbeddedTransport, channel: str = CHANNEL) -> list[str]:
    found: list[str] = []
    after: str | None = None
    while page := await transport.browse(channel, after=after, limit=1_000):
        found += [stored.event.id for stored in page]
        after = page[-1].position
    return found


async def test_what_every_group_has_settled_goes_after_its_retention_and_not_before(home, settled_in_file):
    transport = await home.open(retention=600)
    await transport.ensure(ChannelSpec("ns", "b", groups=(SHARED, "other")), Ensure.CREATE)
    await transport.publish(CHANNEL, series(3))
    for group, count in ((SHARED, 3), ("other", 2)):
        subscription = await transport.subscribe(CHANNEL, group, EARLIEST)
        await subscription.settle(await take(subscription, count))
        await subscription.close()

    async def tidied() -> list[str]:
        home.clock.advance(PURGE_SECONDS)
        await settled_in_file(transport)
        return await stored_ids(transport)

    home.wall += 599
    assert await tidied() == ["e0", "e1", "e2"]
    home.wall += 1
    assert await tidied() == ["e2"], "what one group has not settled stays"


async def test_much_is_removed_in_slices_until_nothing_is_left(home, settled_in_file):
    transport = await home.open(CountingStore, retention=0)
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    total = 3 * PURGE_EVENTS + 10
    await transport.publish(CHANNEL, series(total))
    await subscription.settle(await take(subscription, total))

    home.clock.advance(PURGE_SECONDS)
    for _ in range(5):
        await settled_in_file(transport)

    assert await stored_ids(transport) == []


async def test_dead_letters_stay_until_they_are_removed(home, settled_in_file):
    transport = await home.open(retention=0)
    letters = ChannelSpec("ns", "b", Purpose.DEAD_LETTERS, groups=())
    await transport.ensure(letters, Ensure.CREATE)
    await transport.publish(letters.name, series(3))

    home.wall += 10_000
    home.clock.advance(PURGE_SECONDS)
    await settled_in_file(transport)
    assert await stored_ids(transport, letters.name) == ["e0", "e1", "e2"]

    assert await transport.remove(letters.name, ["2", "7", "0"]) == 1
    assert await stored_ids(transport, letters.name) == ["e0", "e2"]


async def test_a_removed_event_is_not_handed_out_wherever_it_waited(transport):
    held = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    await transport.publish(CHANNEL, series(6))
    found = await take(held, 3)
    await held.release(found[:2])

    assert await transport.remove(CHANNEL, ["1", "4"]) == 2

    assert sorted(ids(await take(held, 3))) == ["e1", "e4", "e5"]
    assert (await transport.backlog(CHANNEL, SHARED)).events == 4


async def test_a_late_group_does_not_get_what_was_removed_though_it_is_still_in_memory(transport):
    await transport.subscribe(CHANNEL, SHARED, EARLIEST)  # reads nothing, so that the tail is kept
    await transport.publish(CHANNEL, series(3))
    await transport.remove(CHANNEL, ["2"])

    late = await transport.subscribe(CHANNEL, "late", EARLIEST)

    assert ids(await take(late, 2)) == ["e0", "e2"]


async def test_nobody_but_its_owner_can_read_what_is_in_the_state_directory(home):
    before = os.umask(0)
    try:
        transport = await home.open()
        await transport.publish(CHANNEL, series(1))
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.directory.iterdir()}
    assert modes == dict.fromkeys(["mesh.db", "mesh.db-wal", "mesh.lock", "mesh.reserve"], 0o600)
    assert stat.S_IMODE(home.directory.stat().st_mode) == 0o700


async def test_a_state_directory_that_is_there_keeps_the_mode_it_was_given(home):
    home.directory.mkdir()
    home.directory.chmod(0o750)

    await home.open()

    assert stat.S_IMODE(home.directory.stat().st_mode) == 0o750


# ── damaged records ──────────────────────────────────────────────────────────────────────────


def flip_a_byte(directory: Path, number: int) -> bytes:
    """In the record of one event of the first channel, as a failing disk would."""
    database = sqlite3.connect(directory / "mesh.db")
    id = (1 << NUMBER_BITS) + number
    [[data]] = database.execute("SELECT data FROM event WHERE id=?", (id,)).fetchall()
    broken: bytes = data[:-1] + bytes([data[-1] ^ 1])
    database.execute("UPDATE event SET data=? WHERE id=?", (broken, id))
    database.commit()
    database.close()
    return broken


async def test_a_damaged_record_is_set_aside_with_its_bytes_and_the_rest_flows(home, transport):
    await transport.publish(CHANNEL, series(3))
    await transport.close()
    broken = flip_a_byte(home.directory, 2)
    transport = await home.open()

    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    found = await take(subscription, 2)
    await subscription.settle(found)
    backlog = await transport.backlog(CHANNEL, SHARED)
    await transport.close()

    assert ids(found) == ["e0", "e2"]
    assert backlog.events == 0
    [[channel, why]] = home.unreadable
    assert channel == CHANNEL
    assert "position 2" in why
    database = sqlite3.connect(home.directory / "mesh.db")
    rows = database.execute("SELECT channel, number, data FROM quarantine").fetchall()
    database.close()
    assert rows == [(CHANNEL, 2, broken)]


async def test_a_flipped_bit_that_makes_a_record_text_costs_nothing(home, transport):
    home.wall += 0.5  # so that the moment is stored as eight bytes, before which the record's type lies
    await transport.publish(CHANNEL, series(1))
    await transport.close()
    path = home.directory / "mesh.db"
    raw = bytearray(path.read_bytes())
    raw[raw.index(struct.pack(">d", home.wall)) - 1] ^= 1
    path.write_bytes(raw)
    database = sqlite3.connect(path)
    database.text_factory = bytes
    assert database.execute("SELECT typeof(data) FROM event").fetchall() == [(b"text",)]
    database.close()

    transport = await home.open()

    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    assert ids(await take(subscription, 1)) == ["e0"]


async def test_browsing_leaps_over_a_damaged_record(home, transport):
    await transport.publish(CHANNEL, series(3))
    await transport.close()
    flip_a_byte(home.directory, 1)
    transport = await home.open()

    assert [s.event.id for s in await transport.browse(CHANNEL, after=None, limit=1)] == ["e1"]
    assert len(home.unreadable) == 1


# ── the state directory ──────────────────────────────────────────────────────────────────────


async def test_a_second_gateway_is_refused_and_told_who_has_the_directory(home, transport):
    second = EmbeddedTransport(EmbeddedOptions(), TransportContext("embedded", home.directory))

    with pytest.raises(StoreDamaged, match=r"in use by process \d+ on "):
        await second.open()
    await second.close()

    await transport.publish(CHANNEL, series(1))  # the first one did not notice


async def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    transport = EmbeddedTransport(
        EmbeddedOptions(), TransportContext("embedded", tmp_path / "file" / "state")
    )

    with pytest.raises(NotPermitted, match="file/state"):
        await transport.open()
    [finding] = await transport.check()
    assert not finding.ok


async def test_without_a_state_directory_everything_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    transport = EmbeddedTransport(EmbeddedOptions(), TransportContext("embedded", None))
    await transport.open()
    await transport.ensure(ChannelSpec("ns", "b"), Ensure.CREATE)
    subscription = await transport.subscribe(CHANNEL, SHARED, EARLIEST)
    await transport.publish(CHANNEL, series(2))
    await subscription.settle((await take(subscription, 2))[:1])
    await subscription.close()

    again = await transport.subscribe(CHANNEL, SHARED, EARLIEST)

    assert ids(await take(again, 1)) == ["e1"]
    assert "in memory" in (await transport.check())[0].detail
    await transport.close()
    assert list(tmp_path.iterdir()) == []


# ── what is asked wrongly ────────────────────────────────────────────────────────────────────


async def test_what_is_no_position_is_refused(transport):
    with pytest.raises(Unsupported, match="'first'"):
        await transport.subscribe(CHANNEL, "new", Start("position", position="first"))
    with pytest.raises(Unsupported, match="no position"):
        await transport.browse(CHANNEL, after="-1", limit=1)


async def test_the_backlog_of_nobody_is_an_error(transport):
    with pytest.raises(ChannelGone, match="nobody"):
        await transport.backlog(CHANNEL, "nobody")


async def test_a_missing_group_is_drift_when_it_is_only_looked_for(transport):
    [drift] = await transport.ensure(ChannelSpec("ns", "b", groups=(SHARED, "late")), Ensure.VERIFY)

    assert (drift.what, drift.wanted, drift.found) == ("group", "late", "absent")


async def test_the_backlog_tells_the_age_of_the_oldest(home, transport):
    await transport.publish(CHANNEL, series(1))
    home.wall += 30
    await transport.publish(CHANNEL, series(1))
    home.wall += 5

    backlog = await transport.backlog(CHANNEL, SHARED)

    assert (backlog.events, backlog.oldest_age) == (2, 35.0)


async def test_many_members_and_late_groups_get_what_is_theirs(transport):
    await transport.publish(CHANNEL, series(300))
    members = [await transport.subscribe(CHANNEL, SHARED, EARLIEST) for _ in range(3)]
    late = await transport.subscribe(CHANNEL, "late", LATEST)
    first = [delivery for member in members for delivery in await take(member, 100)]
    await transport.publish(CHANNEL, series(1, "new"))

    assert sorted(ids(first)) == sorted(event.id for event in series(300))
    assert ids(await take(late, 1)) == ["new0"]
