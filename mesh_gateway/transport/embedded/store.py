"""The SQLite file: schema and statements, synchronous, for one thread and one connection.

Every channel has a table of its own, so that appending goes to the end of one b-tree, removing what
is settled is a range at its beginning, and no index is kept. Numbers are given by the caller and are
dense within a channel; they never come again, also when all rows are gone (`channels.last`).

WAL with `synchronous=FULL`: when a commit has returned, its rows survive a power cut (measured by
tests/faults/test_power_cut.py). Every pragma is read back: one that fails does so silently (V9).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from mesh_gateway.errors import StoreDamaged

APPLICATION = 0x4D455348
""""MESH", so that `file` and we know whose database this is."""

SCHEMA = 1
OLDEST_SQLITE = (3, 51, 3)
"""Before it, a WAL reset could corrupt a file that several connections share (sqlite.org/wal.html)."""

CACHE_KIB = 16_384
"""Page cache: what was just appended is read again by a group that lags a little. Bounded, because
an idle gateway is to stay under 60 MB."""

Row = tuple[int, float, bytes]
"""(number, Unix seconds, stored event)."""


@dataclass(frozen=True, slots=True)
class StoredChannel:
    """What the file knows of a channel."""

    id: int
    name: str
    first: int
    last: int
    groups: Mapping[str, tuple[int, tuple[int, ...]]]
    """Group -> (watermark, numbers settled beyond it)."""


class Store:
    """One open file. Not safe for two threads; the writer owns it."""

    def __init__(self, path: Path | None, *, synchronous: str = "FULL", vfs: str | None = None) -> None:
        if _version() < OLDEST_SQLITE:
            raise StoreDamaged(f"SQLite {apsw.sqlitelibversion()} is too old; install a newer apsw")
        self.path = path
        try:
            # Any: apsw's stubs give every column as a union of all SQLite types.
            self._db: Any = apsw.Connection(
                str(path) if path else ":memory:", vfs=vfs, statementcachesize=512
            )
            self._configure(synchronous)
            self._check()
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StoreDamaged(damaged(path, str(error))) from error
        except apsw.BusyError as error:
            raise StoreDamaged(
                f"{path} is in use by another process; stop it, or give --state another directory"
            ) from error

    def _configure(self, synchronous: str) -> None:
        wanted = {
            "locking_mode": ("EXCLUSIVE", "exclusive"),
            "journal_mode": ("WAL", "wal" if self.path else "memory"),
            "synchronous": (synchronous, {"FULL": 2, "NORMAL": 1}[synchronous]),
            "temp_store": ("MEMORY", 2),
        }
        for name, (value, answer) in wanted.items():
            self._db.pragma(name, value)
            found = self._db.pragma(name)
            if found != answer:
                raise StoreDamaged(f"{self.path}: SQLite did not take {name}={value} (it says {found!r})")
        self._db.pragma("cache_size", -CACHE_KIB)

    def _check(self) -> None:
        """Refuse a file that is damaged, foreign or newer; make a new one usable."""
        found = self._db.pragma("quick_check", 1) if self.path else "ok"
        if found != "ok":
            raise StoreDamaged(damaged(self.path, str(found)))
        application, schema = self._db.pragma("application_id"), self._db.pragma("user_version")
        if (application, schema) == (0, 0) and not self._tables():
            with self.transaction():
                self._create()
        elif application != APPLICATION:
            raise StoreDamaged(
                f"{self.path} is a SQLite file of something else; give --state another directory"
            )
        elif schema != SCHEMA:
            raise StoreDamaged(
                f"{self.path} has schema {schema}, this version reads {SCHEMA}; use the version that wrote it"
            )

    def _tables(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM sqlite_schema").get
        return count

    def _create(self) -> None:
        self._db.execute(
            """
            CREATE TABLE channels(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
            CREATE TABLE groups(channel INTEGER NOT NULL, name TEXT NOT NULL, watermark INTEGER NOT NULL,
              PRIMARY KEY(channel, name)) WITHOUT ROWID;
            CREATE TABLE beyond(channel INTEGER NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL,
              PRIMARY KEY(channel, name, number)) WITHOUT ROWID;
            CREATE TABLE quarantine(channel TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL,
              body BLOB, why TEXT NOT NULL, PRIMARY KEY(channel, number));
            """
        )
        self._db.execute(f"PRAGMA application_id={APPLICATION}; PRAGMA user_version={SCHEMA}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when it is left without an error."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        try:
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # ── channels and groups ──────────────────────────────────────────────────────────────────

    def channels(self) -> list[StoredChannel]:
        """Everything there is, for the start."""
        return [
            self._channel(id, name, last)
            for id, name, last in self._db.execute("SELECT id, name, last FROM channels").fetchall()
        ]

    def _channel(self, id: int, name: str, last: int) -> StoredChannel:
        first, newest = self._db.execute(f"SELECT min(number), max(number) FROM {_table(id)}").fetchone()  # noqa: S608
        groups = {
            group: (watermark, self._beyond(id, group))
            for group, watermark in self._db.execute(
                "SELECT name, watermark FROM groups WHERE channel=?", (id,)
            ).fetchall()
        }
        last = max([last, newest or 0, *(watermark for watermark, _ in groups.values())])
        return StoredChannel(id, name, last + 1 if first is None else first, last, groups)

    def _beyond(self, channel: int, group: str) -> tuple[int, ...]:
        rows = self._db.execute("SELECT number FROM beyond WHERE channel=? AND name=?", (channel, group))
        return tuple(number for (number,) in rows)

    def create_channel(self, name: str) -> int:
        """A new channel; its id."""
        self._db.execute("INSERT INTO channels(name, last) VALUES(?, 0)", (name,))
        id: int = self._db.last_insert_rowid()
        self._db.execute(
            f"CREATE TABLE {_table(id)}(number INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL)"
        )
        return id

    def create_group(self, channel: int, group: str, watermark: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO groups VALUES(?, ?, ?)", (channel, group, watermark))

    def advance(self, channel: int, group: str, watermark: int, beyond: Iterable[int]) -> None:
        """Remember a group's progress."""
        self._db.execute(
            "UPDATE groups SET watermark=? WHERE channel=? AND name=?", (watermark, channel, group)
        )
        self._db.execute(
            "DELETE FROM beyond WHERE channel=? AND name=? AND number<=?", (channel, group, watermark)
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO beyond VALUES(?, ?, ?)", [(channel, group, n) for n in beyond]
        )

    # ── events ───────────────────────────────────────────────────────────────────────────────

    def append(self, channel: int, rows: Sequence[Row]) -> None:
        """Add events; their numbers continue the channel's."""
        self._db.executemany(f"INSERT INTO {_table(channel)} VALUES(?, ?, ?)", rows)  # a number

    def read(self, channel: int, after: int, limit: int) -> list[Row]:
        """Up to `limit` rows behind `after`, in order."""
        rows: list[Row] = self._db.execute(
            f"SELECT number, at, CAST(body AS BLOB) FROM {_table(channel)} WHERE number>? ORDER BY number LIMIT ?",  # noqa: S608
            (after, limit),
        ).fetchall()
        return rows

    def count(self, channel: int) -> tuple[int, float | None]:
        """How many rows there are, and when the oldest came."""
        found: tuple[int, float | None] = self._db.execute(
            f"SELECT count(*), min(at) FROM {_table(channel)}"  # noqa: S608
        ).fetchone()
        return found

    def first_after(self, channel: int, moment: float) -> int | None:
        """The first number that came at or after a moment."""
        found: int | None = self._db.execute(
            f"SELECT min(number) FROM {_table(channel)} WHERE at>=?",  # noqa: S608
            (moment,),
        ).get
        return found

    def remove(self, channel: int, numbers: Iterable[int], last: int) -> int:
        """Take single rows out; how many were there."""
        before = self._db.total_changes()
        self._db.executemany(f"DELETE FROM {_table(channel)} WHERE number=?", [(n,) for n in numbers])  # noqa: S608
        removed: int = self._db.total_changes() - before
        self._db.execute("UPDATE channels SET last=max(last, ?) WHERE id=?", (last, channel))
        return removed

    def expire(self, channel: int, up_to: int, before: float, limit: int) -> int:
        """Remove up to `limit` of the oldest rows that are numbered up to `up_to` and came before a moment."""
        found = self._db.execute(
            f"SELECT max(number), count(*) FROM (SELECT number FROM {_table(channel)} "  # noqa: S608
            "WHERE number<=? AND at<? ORDER BY number LIMIT ?)",
            (up_to, before, limit),
        ).fetchone()
        if found[1]:
            self._db.execute(f"DELETE FROM {_table(channel)} WHERE number<=?", (found[0],))  # noqa: S608
            self._db.execute("UPDATE channels SET last=max(last, ?) WHERE id=?", (found[0], channel))
        removed: int = found[1]
        return removed

    def quarantine(self, channel: int, name: str, number: int, why: str) -> None:
        """Set a damaged row aside with its bytes."""
        self._db.execute(
            f"INSERT OR REPLACE INTO quarantine SELECT ?, number, at, body, ? FROM {_table(channel)} WHERE number=?",  # noqa: S608
            (name, why, number),
        )
        self._db.execute(f"DELETE FROM {_table(channel)} WHERE number=?", (number,))  # noqa: S608

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    @property
    def used_bytes(self) -> int:
        """Bytes of pages in use; free pages inside the file are not counted, they are used again."""
        pages: int = self._db.pragma("page_count") - self._db.pragma("freelist_count")
        size: int = self._db.pragma("page_size")
        return pages * size

    def close(self) -> None:
        """Checkpoint and close."""
        self._db.close()


def damaged(path: Path | None, why: str) -> str:
    """What an operator should know of a damaged file."""
    moved = f"{path}.damaged-{time.strftime('%Y%m%d')}" if path else ""
    return (
        f"{path} is damaged: {why}. Nothing was changed. Stop the gateway, keep a copy (mv {path} {moved}, with its "
        "-wal file), and either restore a backup or start with an empty state directory; "
        "`sqlite3 FILE .recover` gets out of the copy what can be read"
    )


def _table(channel: int) -> str:
    return f"events_{int(channel)}"


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in apsw.sqlitelibversion().split("."))
