"""How the file is opened: which SQLite, which settings, which tables, and what is refused.

WAL with `synchronous=FULL`: a commit that has returned survives a power cut (shown by
`tests/faults/test_power_cut.py`). Every setting is read back, because one that fails does so
silently. A file that is damaged, foreign or newer is refused and never touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import apsw

from mesh_gateway.errors import NotPermitted, StoreDamaged, StoreFull

Synchronous = Literal["FULL", "NORMAL"]

APPLICATION_ID = 0x4D455348
""""MESH" in the file's header, so that nobody's other database is taken for ours."""

SCHEMA_VERSION = 3
"""1 had a table for each channel; it was never released. 2 had no memory of where events came from, and is brought up."""

OLDEST_SQLITE = (3, 51, 3)
"""Before it, a reset of the WAL could corrupt a file (sqlite.org/wal.html, "The WAL-Reset Bug")."""

PAGE_BYTES = 8_192
"""Seven events of 1 KiB to a page where SQLite's 4,096 would hold three: a quarter less CPU to insert
in batches of 100 (2.6 instead of 3.3 µs an event), the same for single ones."""

CACHE_KIB = 8_192
"""Pages kept in memory: the ends of the tables and what a group that lags a little reads again."""

WAL_KEPT_BYTES = 64 * 2**20
"""The WAL is cut back to this after one huge commit; in ordinary work it stays far below."""

# An event's row id holds its channel and its number, so that each channel lies together, is read
# and removed as a range, and needs no index. 44 bits count 18 years of 30,000 events a second.
NUMBER_BITS = 44

_MEMORY = """
CREATE TABLE remembered(
  channel INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY(channel, name)) STRICT, WITHOUT ROWID;
CREATE TABLE came(
  channel INTEGER NOT NULL, generation INTEGER NOT NULL, identity BLOB NOT NULL,
  PRIMARY KEY(channel, generation, identity)) STRICT, WITHOUT ROWID;
"""

# `event` and `quarantine` take any type: a flipped bit can make a record text, and that is to cost one
# event, not (by the check at the start) the file.
_TABLES = """
CREATE TABLE channel(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE event(id INTEGER PRIMARY KEY, at REAL, data BLOB);
CREATE TABLE cursor(
  id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, name TEXT NOT NULL, watermark INTEGER NOT NULL,
  UNIQUE(channel, name)) STRICT;
CREATE TABLE settled(
  cursor INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY(cursor, first)) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine(
  channel TEXT NOT NULL, number INTEGER NOT NULL, at REAL, data BLOB, why TEXT NOT NULL,
  PRIMARY KEY(channel, number));
"""


def connect(path: Path | None, *, synchronous: Synchronous, vfs: str | None) -> apsw.Connection:
    """An open, checked connection; `path` None = in memory.

    Raises `StoreDamaged` for a file that cannot be trusted, `NotPermitted` for one that cannot be
    opened, `StoreFull` when there is not even room to begin. `vfs` names a registered SQLite VFS.
    """
    _refuse_old_sqlite()
    db: apsw.Connection | None = None
    try:
        db = apsw.Connection(":memory:" if path is None else str(path), vfs=vfs)
        _configure(db, path, synchronous)
        _check(db, path)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreDamaged(damaged(path, str(error))) from error
    except apsw.FullError as error:
        raise StoreFull(f"there is no room to open {path}", retry_after=5) from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise NotPermitted(f"{path} cannot be opened for writing: {error}; check who owns it") from error
    except apsw.Error as error:
        raise StoreDamaged(
            f"{path} cannot be read: {error}; look at the disk before anything else"
        ) from error
    else:
        return db


def damaged(path: Path | None, why: str) -> str:
    """What to tell an operator about a damaged file."""
    return (
        f"{path} is damaged ({' '.join(why.split())}). Nothing was changed: keep a copy of it with its -wal file, "
        "then restore a backup, or save what can be read with `sqlite3 mesh.db .recover`, or move the file away "
        "and begin empty: what was not delivered yet is then lost"
    )


def _refuse_old_sqlite() -> None:
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE:
        raise StoreDamaged(f"SQLite {version} can corrupt files; install apsw 3.51.3 or newer")
    if "ENABLE_CARRAY" not in apsw.compile_options:
        raise StoreDamaged("this apsw was built without SQLite's carray; install the wheel of apsw")


def _configure(db: apsw.Connection, path: Path | None, synchronous: Synchronous) -> None:
    """Set what a connection forgets; in this order, since WAL must find the lock exclusive."""
    set_and_read = db.pragma
    set_and_read("page_size", PAGE_BYTES)  # counts only for a new file
    settings: list[tuple[str, Any, Any]] = [
        ("locking_mode", "EXCLUSIVE", "exclusive"),
        ("journal_mode", "WAL", "memory" if path is None else "wal"),
        ("synchronous", synchronous, {"FULL": 2, "NORMAL": 1}[synchronous]),
        ("journal_size_limit", WAL_KEPT_BYTES, WAL_KEPT_BYTES),
        ("cache_size", -CACHE_KIB, -CACHE_KIB),
        ("temp_store", "MEMORY", 2),
        # The store does it itself: SQLite's own checkpoint after a commit hides its errors.
        ("wal_autocheckpoint", 0, 0),
    ]
    for name, value, answer in settings:
        set_and_read(name, value)
        found = set_and_read(name)
        if found != answer:
            raise StoreDamaged(f"{path}: SQLite did not take {name}={value}, it says {found!r}")


def _check(db: apsw.Connection, path: Path | None) -> None:
    """Refuse a damaged, foreign or newer file; make the tables in a new one."""
    found = db.pragma("quick_check", 1)
    if found != "ok":
        raise StoreDamaged(damaged(path, str(found)))
    marks = db.pragma("application_id"), db.pragma("user_version")
    if marks == (0, 0) and db.execute("SELECT count(*) FROM sqlite_schema").get == 0:
        with db:
            db.execute(
                f"{_TABLES} {_MEMORY} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}"
            )
    elif marks[0] != APPLICATION_ID:
        raise StoreDamaged(
            f"{path} is a database of something else; give the gateway another state directory"
        )
    elif marks[1] == 2:
        with db:
            db.execute(f"{_MEMORY} PRAGMA user_version={SCHEMA_VERSION}")
    elif marks[1] != SCHEMA_VERSION:
        raise StoreDamaged(
            f"{path} has schema {marks[1]}, this version reads {SCHEMA_VERSION}; run the version that wrote it"
        )
