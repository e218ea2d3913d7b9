"""The SQL: what is kept of channels, events and groups. Synchronous, for one thread.

Numbers of a channel's events begin at 1, are dense, and never come again, also when all rows are
gone. A statement handles a whole batch: each one gives up Python's lock, and a busy event loop
takes up to 5 ms to give it back.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import apsw

from mesh_gateway.transport.contract import Start
from mesh_gateway.transport.embedded.cursor import Change
from mesh_gateway.transport.embedded.memory import StoredMemory
from mesh_gateway.transport.embedded.schema import NUMBER_BITS, Synchronous, connect

T = TypeVar("T")

CHECKPOINT_PAGES = 256
"""2 MiB of WAL are folded into the file at a time. A page that is written by many commits (the ends of the tables) is copied once,
and nothing is committed meanwhile: with 8 MiB the longest answer at half load took 105 ms, with 2 MiB 39."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group as the file knows it."""

    id: int
    name: str
    watermark: int
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredChannel:
    """A channel as the file knows it. `first` is its oldest event's number, `head` the newest ever given."""

    id: int
    name: str
    head: int = 0
    first: int = 1
    first_at: float = 0.0
    groups: tuple[StoredGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a batch lies: its first number, and the moment that all of it carries."""

    first: int
    at: float


@dataclass(frozen=True, slots=True)
class Purged:
    """What a slice of removing left: `first` and `first_at` of the oldest event that is still there."""

    count: int
    first: int
    first_at: float


@dataclass(slots=True)
class _End:
    """Where a channel ends: its newest number, and when that came."""

    head: int
    at: float


@dataclass(slots=True)
class Store:
    """One open file (`path` None = in memory).

    `transact` makes what it runs durable before it returns; nothing else does. Every method raises
    `apsw.Error`; after `apsw.FullError` one may go on, after any other one must not.
    """

    path: Path | None
    synchronous: Synchronous = "FULL"
    vfs: str | None = None
    now: Callable[[], float] = time.time
    _ends: dict[int, _End] = field(init=False, default_factory=dict)
    _moved: dict[int, _End] = field(init=False, default_factory=dict)
    _wal_pages: int = field(init=False, default=0)
    _db: Any = field(init=False)  # apsw's stubs give every column as a union of all types

    def __post_init__(self) -> None:
        self._db = connect(self.path, synchronous=self.synchronous, vfs=self.vfs)
        self._db.set_wal_hook(self._written)

    def transact(self, works: Iterable[Callable[[Store], T]]) -> list[T]:
        """What these return, each run in one common transaction, durable. All or nothing."""
        db = self._db
        self._moved.clear()
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [work(self) for work in works]
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._ends.update(self._moved)
        return results

    # ── channels and groups ──────────────────────────────────────────────────────────────────

    def channels(self) -> list[StoredChannel]:
        """Everything there is, for the start."""
        rows = self._db.execute("SELECT id, name, head FROM channel").fetchall()
        return [self._channel(id, name, head) for id, name, head in rows]

    def create_channel(self, name: str) -> StoredChannel:
        """The channel of this name, made if it is not there."""
        self._db.execute("INSERT OR IGNORE INTO channel(name) VALUES(?)", (name,))
        row = self._db.execute("SELECT id, head FROM channel WHERE name=?", (name,)).fetchone()
        return self._channel(row[0], name, row[1])

    def create_group(self, channel: int, name: str, start: Start) -> StoredGroup:
        """The group of this name, made to begin at `start` if it is not there."""
        self._db.execute(
            "INSERT OR IGNORE INTO cursor(channel, name, watermark) VALUES(?, ?, ?)",
            (channel, name, self._before(channel, start)),
        )
        row = self._db.execute(
            "SELECT id, watermark FROM cursor WHERE channel=? AND name=?", (channel, name)
        ).fetchone()
        return StoredGroup(row[0], name, row[1], self._ranges(row[0]))

    def save(self, group: int, change: Change) -> None:
        """Remember a group's progress."""
        db = self._db
        db.execute("UPDATE cursor SET watermark=? WHERE id=?", (change.watermark, group))
        if change.gone is None:
            db.execute("DELETE FROM settled WHERE cursor=?", (group,))
        elif change.gone:
            db.execute(
                "DELETE FROM settled WHERE cursor=? AND first IN (SELECT value FROM json_each(?))",
                (group, json.dumps(change.gone)),
            )
        if change.new:
            db.execute(
                "INSERT OR REPLACE INTO settled SELECT ?, value->>0, value->>1 FROM json_each(?)",
                (group, json.dumps(change.new)),
            )

    # ── events ───────────────────────────────────────────────────────────────────────────────

    def append(self, channel: int, records: tuple[bytes, ...]) -> Appended:
        """Add events behind the channel's newest. Their moment is never before that one's."""
        end = self._end(channel)
        at = max(self.now(), end.at)
        self._db.execute(
            "INSERT INTO event SELECT ? + rowid, ?, value FROM carray(?)",
            (_row_id(channel, end.head), at, apsw.carray(records)),
        )
        self._moved[channel] = _End(end.head + len(records), at)
        return Appended(end.head + 1, at)

    def memory(self, channel: int) -> StoredMemory:
        """What the channel remembers, for the transaction that is open."""
        return StoredMemory(self._db, channel, self.now())

    def read(
        self, channel: int, first: int, last: int, *, limit: int, max_bytes: int
    ) -> list[tuple[int, float, bytes]]:
        """Rows numbered `first` to `last`, in order: number, moment, record.

        Up to `limit` of them, and none behind the one with which they reach `max_bytes`.
        """
        base = _row_id(channel, 0)
        rows: list[tuple[int, float, bytes]] = []
        found = self._db.execute(
            "SELECT id - ?1, at, coalesce(CAST(data AS BLOB), x'') FROM event"
            " WHERE id BETWEEN ?1 + ?2 AND ?1 + ?3 ORDER BY id LIMIT ?4",
            (base, first, last, limit),
        )
        for row in found:
            rows.append(row)
            max_bytes -= len(row[2])
            if max_bytes <= 0:
                break
        found.close()  # an open read would keep the WAL from being folded in
        return rows

    def time_at(self, channel: int, number: int) -> float | None:
        """When the first event numbered `number` or later came; None = there is none."""
        found: float | None = self._db.execute(
            "SELECT at FROM event WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1",
            (_row_id(channel, number), _row_id(channel + 1, 0) - 1),
        ).get
        return found

    def remove(self, channel: int, numbers: Sequence[int]) -> int:
        """Take single events out; how many were there."""
        ids = array("q", [_row_id(channel, number) for number in numbers])
        self._keep_head(channel)
        self._db.execute("DELETE FROM event WHERE id IN (SELECT value FROM carray(?))", (apsw.carray(ids),))
        removed: int = self._db.changes()
        return removed

    def purge(self, channel: int, up_to: int, before: float, limit: int) -> Purged:
        """Remove up to `limit` of the oldest events, numbered at most `up_to` and not younger than `before`."""
        base = _row_id(channel, 0)
        newest, count = self._db.execute(
            "SELECT max(id), count(*) FROM (SELECT id, at FROM event WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)"
            " WHERE at <= ?",
            (base, base + up_to, limit, before),
        ).fetchone()
        if count:
            self._keep_head(channel)
            self._db.execute("DELETE FROM event WHERE id BETWEEN ? AND ?", (base, newest))
        first, first_at = self._first(channel, self._end(channel).head)
        return Purged(count, first, first_at)

    def quarantine(self, channel: int, name: str, number: int, why: str) -> None:
        """Set a record that is no event any more aside, with its bytes."""
        id = _row_id(channel, number)
        self._keep_head(channel)
        self._db.execute(
            "INSERT OR REPLACE INTO quarantine SELECT ?, ?, at, CAST(data AS BLOB), ? FROM event WHERE id=?",
            (name, number, why, id),
        )
        self._db.execute("DELETE FROM event WHERE id=?", (id,))

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    def usage(self) -> tuple[int, int]:
        """Bytes in use, and bytes free inside the file, which are used before it grows."""
        size: int = self._db.pragma("page_size")
        pages: int = self._db.pragma("page_count")
        free: int = self._db.pragma("freelist_count")
        return (pages - free) * size, free * size

    def checkpoint(self) -> None:
        """Fold the WAL into the file when it is long enough."""
        if self._wal_pages >= CHECKPOINT_PAGES:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._wal_pages = 0

    def distrust(self) -> None:
        """A write or a sync has failed: let `close` touch nothing, the next process recovers from the WAL."""
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def close(self) -> None:
        """Fold the WAL in and close."""
        self._db.close()

    # ── where things lie ─────────────────────────────────────────────────────────────────────

    def _channel(self, id: int, name: str, head: int) -> StoredChannel:
        newest = self._db.execute(
            "SELECT id, at FROM event WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1",
            (_row_id(id, 0), _row_id(id + 1, 0) - 1),
        ).fetchone()
        end = self._ends[id] = (
            _End(head, 0.0) if newest is None else _End(newest[0] - _row_id(id, 0), newest[1])
        )
        end.head = max(end.head, head)
        first, first_at = self._first(id, end.head)
        groups = [
            StoredGroup(group, group_name, watermark, self._ranges(group))
            for group, group_name, watermark in self._db.execute(
                "SELECT id, name, watermark FROM cursor WHERE channel=?", (id,)
            ).fetchall()
        ]
        return StoredChannel(id, name, end.head, first, first_at, tuple(groups))

    def _ranges(self, group: int) -> tuple[tuple[int, int], ...]:
        return tuple(
            self._db.execute(
                "SELECT first, last FROM settled WHERE cursor=? ORDER BY first", (group,)
            ).fetchall()
        )

    def _first(self, channel: int, head: int) -> tuple[int, float]:
        """Number and moment of the oldest event; the next number when there is none."""
        base = _row_id(channel, 0)
        row: tuple[int, float] | None = self._db.execute(
            "SELECT id - ?1, at FROM event WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1",
            (base, _row_id(channel + 1, 0) - 1),
        ).fetchone()
        return (head + 1, 0.0) if row is None else row

    def _before(self, channel: int, start: Start) -> int:
        """The number before the first that a group beginning at `start` is to get."""
        head = self._end(channel).head
        first, _ = self._first(channel, head)
        if start.at == "latest":
            return head
        if start.at == "earliest":
            return first - 1
        if start.at == "position":
            return min(max(int(start.position or 0), first) - 1, head)
        return self._first_since(channel, start.timestamp or 0.0, first, head) - 1

    def _first_since(self, channel: int, moment: float, low: int, high: int) -> int:
        """The first number in `low`..`high` whose event came at `moment` or later, else `high` + 1."""
        while low <= high:
            middle = (low + high) // 2
            at = self.time_at(channel, middle)
            if at is None or at >= moment:
                high = middle - 1
            else:
                low = middle + 1
        return low

    def _end(self, channel: int) -> _End:
        return self._moved.get(channel) or self._ends[channel]

    def _keep_head(self, channel: int) -> None:
        """Before rows go: remember the newest number, so that it never comes again."""
        self._db.execute("UPDATE channel SET head=? WHERE id=?", (self._end(channel).head, channel))

    def _written(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return 0


def _row_id(channel: int, number: int) -> int:
    return (channel << NUMBER_BITS) + number
