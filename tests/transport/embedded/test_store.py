"""The file: what is refused at the door, and what survives in it."""

from __future__ import annotations

import itertools
import sqlite3
from functools import partial

import apsw
import pytest

from mesh_gateway.errors import StoreDamaged
from mesh_gateway.transport.contract import EARLIEST, LATEST, Start
from mesh_gateway.transport.embedded import schema
from mesh_gateway.transport.embedded.cursor import Cursor
from mesh_gateway.transport.embedded.store import Store, StoredChannel


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mesh.db"


def channel(store: Store, name: str = "ns/b") -> int:
    [stored] = store.transact([lambda store: store.create_channel(name)])
    id: int = stored.id
    return id


def append(store: Store, home: int, *records: bytes) -> None:
    store.transact([lambda store: store.append(home, records)])


def numbers(store: Store, home: int) -> list[int]:
    return [number for number, _, _ in store.read(home, 1, 2**40, limit=1_000, max_bytes=2**30)]


# ── the door ─────────────────────────────────────────────────────────────────────────────────


def test_the_settings_that_make_a_commit_durable_are_in_force(path):
    store = Store(path)

    found = {
        name: store._db.pragma(name) for name in ("journal_mode", "synchronous", "locking_mode", "page_size")
    }
    store.close()

    assert found == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "page_size": 8_192}


def test_a_setting_that_sqlite_does_not_take_is_an_error(path):
    in_memory = apsw.Connection(":memory:")  # has no WAL, and says so only when asked

    with pytest.raises(StoreDamaged, match="journal_mode=WAL"):
        schema._configure(in_memory, path, "FULL")


def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_bytes(b"not a database, but somebody's notes" * 100)
    before = path.read_bytes()

    with pytest.raises(StoreDamaged, match=r"damaged.*restore"):
        Store(path)

    assert path.read_bytes() == before


def test_a_file_with_a_broken_page_is_refused_and_says_what_to_do(path):
    store = Store(path)
    home = channel(store)
    append(store, home, *[b"x" * 3_000] * 50)
    store.close()
    raw = bytearray(path.read_bytes())
    raw[8_192 : 8_192 * 4] = b"\x5a" * (8_192 * 3)
    path.write_bytes(raw)

    with pytest.raises(StoreDamaged, match=r"damaged.*\.recover"):
        Store(path)

    assert path.read_bytes() == raw


def test_a_database_of_something_else_is_refused(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes(name)")
    other.commit()
    other.close()

    with pytest.raises(StoreDamaged, match="something else"):
        Store(path)


def test_a_file_of_a_newer_version_is_refused(path):
    Store(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version=99")
    newer.close()

    with pytest.raises(StoreDamaged, match="schema 99"):
        Store(path)


def test_a_sqlite_with_known_corruption_is_refused(path, monkeypatch):
    monkeypatch.setattr(schema, "OLDEST_SQLITE", (99, 0, 0))

    with pytest.raises(StoreDamaged, match="install apsw"):
        Store(path)


# ── numbers ──────────────────────────────────────────────────────────────────────────────────


def test_numbers_never_come_again_though_all_rows_are_gone(path):
    store = Store(path)
    home = channel(store)
    append(store, home, b"1", b"2", b"3")
    store.transact([lambda store: store.remove(home, [1, 2, 3])])
    store.close()

    store = Store(path)
    [stored] = store.channels()
    append(store, home, b"4")

    assert stored == StoredChannel(home, "ns/b", head=3, first=4, first_at=0.0)
    assert numbers(store, home) == [4]
    store.close()


def test_what_is_rolled_back_takes_no_numbers():
    store = Store(None)
    home = channel(store)

    def fail(store: Store) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.transact([lambda store: store.append(home, (b"1",)), fail])
    append(store, home, b"2")

    assert numbers(store, home) == [1]
    store.close()


def test_channels_do_not_see_each_other(path):
    store = Store(path)
    homes = [channel(store, name) for name in ("a/a", "a/b", "a/c")]
    for home in homes:
        append(store, home, b"one", b"two")
    store.transact([lambda store: store.remove(homes[1], [1, 2])])

    assert [numbers(store, home) for home in homes] == [[1, 2], [], [1, 2]]
    assert [(c.first, c.head) for c in store.channels()] == [(1, 2), (3, 2), (1, 2)]
    store.close()


def test_a_moment_never_lies_before_the_one_before_it():
    wall = iter([100.0, 50.0, 120.0])
    store = Store(None, now=lambda: next(wall))
    home = channel(store)
    for record in (b"1", b"2", b"3"):
        append(store, home, record)

    assert [at for _, at, _ in store.read(home, 1, 9, limit=9, max_bytes=99)] == [100.0, 100.0, 120.0]
    store.close()


def test_a_read_ends_with_the_record_that_reaches_its_bytes():
    store = Store(None)
    home = channel(store)
    append(store, home, *[b"x" * 10] * 5)

    assert len(store.read(home, 1, 5, limit=5, max_bytes=21)) == 3
    assert len(store.read(home, 1, 5, limit=2, max_bytes=1_000)) == 2
    store.close()


# ── groups ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("start", "watermark"),
    [
        (EARLIEST, 2),
        (LATEST, 10),
        (Start("position", position="5"), 4),
        (Start("position", position="1"), 2),
        (Start("position", position="99"), 10),
        (Start("timestamp", timestamp=0.0), 2),
        (Start("timestamp", timestamp=1_005.0), 4),
        (Start("timestamp", timestamp=1_005.5), 5),
        (Start("timestamp", timestamp=9_999.0), 10),
    ],
)
def test_a_group_begins_where_it_is_told(start, watermark):
    moments = itertools.count(1_001.0)
    store = Store(None, now=lambda: next(moments))
    home = channel(store)
    for _ in range(10):
        append(store, home, b"x")
    store.transact([lambda store: store.remove(home, [1, 2])])

    [group] = store.transact([lambda store: store.create_group(home, "g", start)])

    assert group.watermark == watermark
    store.close()


def test_progress_is_remembered_with_its_ranges(path):
    store = Store(path)
    home = channel(store)
    [group] = store.transact([lambda store: store.create_group(home, "g", EARLIEST)])
    cursor = Cursor(0)
    for settled in ([1, 2, 5, 6, 9], [3, 7], [12]):
        cursor.settle(settled)
        change = cursor.change()
        store.transact([partial(Store.save, group=group.id, change=change)])
    store.close()

    store = Store(path)
    [[found]] = [stored.groups for stored in store.channels()]
    store.close()

    assert (found.watermark, found.ranges) == (3, ((5, 7), (9, 9), (12, 12)))


def test_removing_goes_in_slices_and_stops_at_what_is_young_or_not_settled():
    moments = itertools.count(1.0)
    store = Store(None, now=lambda: next(moments))
    home = channel(store)
    for _ in range(10):
        append(store, home, b"x")

    def purge(up_to: int, before: float) -> object:
        [found] = store.transact([lambda store: store.purge(home, up_to, before, 3)])
        return found.count, found.first, found.first_at

    assert purge(5, 99.0) == (3, 4, 4.0)
    assert purge(5, 99.0) == (2, 6, 6.0)
    assert purge(5, 99.0) == (0, 6, 6.0)
    assert purge(10, 7.0) == (2, 8, 8.0)
    assert purge(10, 99.0) == (3, 11, 0.0)
    store.close()
