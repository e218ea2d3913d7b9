"""Power cuts, simulated: whatever was acknowledged is there afterwards; with NORMAL it would not be.

A VFS remembers how to undo every write since the last sync of its file. The "cut" undoes a random
suffix of them, as if they had never reached the disk, and the copy is opened again.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import apsw

from mesh_gateway.event import Event
from mesh_gateway.transport.embedded.store import Store
from mesh_gateway.wire import stored

CUTS = 320
GROUP = "shared"


class UndoFile(apsw.VFSFile):
    """A file that knows how to forget what was not synced."""

    def __init__(self, name: str | apsw.URIFilename, flags: list[int]) -> None:
        super().__init__("", name, flags)
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.path = filename
        self.undo: list[tuple[int, bytes, int]] = []

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's name
        size = super().xFileSize()
        before = super().xRead(min(len(data), max(0, size - offset)), offset) if offset < size else b""
        self.undo.append((offset, before, size))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self.undo = []
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.undo = []
        super().xSync(flags)


class UndoDisk(apsw.VFS):
    """A disk whose power can be cut."""

    def __init__(self) -> None:
        super().__init__("undo", "")
        self.files: list[UndoFile] = []

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> UndoFile:  # noqa: N802
        assert name is not None
        file = UndoFile(name, flags)
        self.files.append(file)
        return file

    def cut(self, chance: random.Random) -> None:
        """The last unsynced writes never happened."""
        for file in self.files:
            if not file.path or not file.undo or not Path(file.path).exists():
                continue
            descriptor = os.open(file.path, os.O_RDWR)
            for offset, before, size in reversed(file.undo[chance.randint(0, len(file.undo)) :]):
                os.pwrite(descriptor, before, offset)
                os.ftruncate(descriptor, size)
            os.close(descriptor)


def trial(directory: Path, synchronous: str, seed: int) -> tuple[int, int]:
    """(acknowledged, lost) of one life that ends with a cut."""
    directory.mkdir()
    chance = random.Random(seed)
    disk = UndoDisk()
    store = Store(directory / "a.db", synchronous=synchronous, vfs="undo")
    with store.transaction():
        channel = store.create_channel("ns/b")
        store.create_group(channel, GROUP, 0)
    acknowledged: list[str] = []
    number = 0
    for _ in range(chance.randint(5, 30)):
        batch = [
            Event.new(
                type="t", source="/s", id=str(number + i + 1), data=os.urandom(chance.randint(10, 3_000))
            )
            for i in range(chance.randint(1, 20))
        ]
        with store.transaction():
            store.append(channel, [(number + i + 1, 0.0, stored.encode(e)) for i, e in enumerate(batch)])
            if chance.random() < 0.3:
                store.advance(channel, GROUP, chance.randint(0, number), ())
        acknowledged += [e.id for e in batch]
        number += len(batch)
    disk.cut(chance)
    for suffix in ("", "-wal"):
        if (directory / f"a.db{suffix}").exists():
            shutil.copy(directory / f"a.db{suffix}", directory / f"b.db{suffix}")
    del store
    after = Store(directory / "b.db")
    found = {stored.decode(body).id for body in _bodies(after)}
    after.close()
    return len(acknowledged), len(set(acknowledged) - found)


def _bodies(store: Store) -> list[bytes]:
    known = store.channels()
    return [body for channel in known for _, _, body in store.read(channel.id, 0, 10_000)]


def lives(directory: Path, synchronous: str, count: int) -> tuple[int, int]:
    acknowledged = lost = 0
    for seed in range(count):
        there, gone = trial(directory / f"{synchronous}{seed}", synchronous, seed)
        acknowledged, lost = acknowledged + there, lost + gone
        shutil.rmtree(directory / f"{synchronous}{seed}")
    return acknowledged, lost


def test_no_acknowledged_event_is_lost_in_a_power_cut(tmp_path: Path):
    acknowledged, lost = lives(tmp_path, "FULL", CUTS)

    assert acknowledged > 10 * CUTS
    assert lost == 0


def test_the_same_cuts_lose_events_without_full_synchronisation(tmp_path: Path):
    _, lost = lives(tmp_path, "NORMAL", 40)

    assert lost > 0
