"""A disk that a test can fill, break or cut off: a SQLite VFS over the real one."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import apsw

SECTOR = 512
"""What a disk writes at once; a write that power cuts short ends at a multiple of it."""


class Disk(apsw.VFS):
    """Behaves like the real disk until one of its public attributes says otherwise.

    Keep a reference for as long as a connection uses it: SQLite finds it by `name` only.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.capacity: int | None = None
        """Bytes that all files beside the database may have together; None = any."""
        self.failing_syncs = 0
        """How many of the next syncs fail."""
        self.operations_left: int | None = None
        """Writes and syncs until the power goes; from then on everything fails."""
        self.files: list[DiskFile] = []

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> DiskFile:  # noqa: N802  # SQLite's name
        file = DiskFile(self, name, flags)
        self.files.append(file)
        return file

    def operate(self) -> None:
        """Count one write or sync. Raises once the power is gone."""
        if self.operations_left is None:
            return
        if self.operations_left == 0:
            raise apsw.IOError("the power is gone")
        self.operations_left -= 1

    def survivors(self, target: Path, chance: random.Random) -> None:
        """Copy to `target` what is on the platters after a power cut, now.

        Of what was written since a file's last sync, a random part arrived, in any order, the last
        write perhaps only in part.
        """
        target.mkdir()
        for file in self.files:
            if file.path is not None and file.path.exists():
                copy = target / file.path.name
                shutil.copy(file.path, copy)
                file.lose_unsynced(copy, chance)


class DiskFile(apsw.VFSFile):
    """One open file of a `Disk`."""

    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._unsynced: list[tuple[int, bytes, bytes, int]] = []
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.path = Path(text) if text else None

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # SQLite's name
        size = self.xFileSize()
        self._refuse_if_full(offset + len(data) - size)
        old = self.xRead(min(len(data), size - offset), offset) if offset < size else b""
        self._unsynced.append((offset, old, bytes(data), size))
        self._disk.operate()
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  # SQLite's name
        self._unsynced.clear()
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802  # SQLite's name
        self._disk.operate()
        if self._disk.failing_syncs:
            self._disk.failing_syncs -= 1
            raise apsw.IOError("the disk could not write")
        super().xSync(flags)
        self._unsynced.clear()

    def lose_unsynced(self, copy: Path, chance: random.Random) -> None:
        """Make `copy` what a power cut leaves of this file."""
        handle = os.open(copy, os.O_RDWR)
        try:
            for offset, old, _, size in reversed(self._unsynced):
                os.pwrite(handle, old, offset)
                os.ftruncate(handle, size)
            arrived = [write for write in self._unsynced if chance.random() < 0.5]
            for offset, _, new, _ in arrived:
                whole = new if chance.random() < 0.9 else new[: chance.randrange(0, len(new) + 1, SECTOR)]
                os.pwrite(handle, whole, offset)
        finally:
            os.close(handle)

    def _refuse_if_full(self, growth: int) -> None:
        capacity = self._disk.capacity
        if growth <= 0 or capacity is None or self.path is None:
            return
        used = sum(entry.stat().st_size for entry in self.path.parent.iterdir())
        if used + growth > capacity:
            raise apsw.FullError("the disk is full")
