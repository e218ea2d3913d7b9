"""The state directory: one process at a time, and room to settle even when the disk is full.

At `SQLITE_FULL` even the DELETE that would make room fails. So a reserve file is kept; when the disk
is full it is given up, publishing is refused and settling goes on in its place. Publishing begins
again when the reserve could be made anew, or when as much has become free inside the store's file.

What is made here is for the gateway's own user alone: events are nobody else's to read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

from mesh_gateway.errors import NotPermitted, StoreDamaged

RESERVE_BYTES = 16 * 2**20
"""Room to move a whole WAL into the file (it is folded in at 2 MiB, but one commit may be many times as long), and for one more of
settles and removals."""

NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM})
"""Of a file system that syncs no directories, or of one above ours that we may only pass through: nothing has failed."""

OWNER_ONLY = 0o600
"""Mode of every file that is made here."""

PRESSURE = 0.75
"""Part of the limit from which settled events go before their time: what is left takes a quarter of
the limit in new events while they go, in slices, at several times the speed of publishing."""


class Hold:
    """The right to a state directory, until `release`."""

    def __init__(self, directory: Path) -> None:
        """Make the directory if need be. Raises `StoreDamaged` naming the process that has it."""
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(directory / "mesh.lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, OWNER_ONLY)
        except OSError as error:
            raise NotPermitted(
                f"the state directory {directory} cannot be used: {error.strerror}; make it writable for this "
                "user or name another one"
            ) from error
        self._file: IO[str] = os.fdopen(lock, "a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise StoreDamaged(
                f"{directory} is in use by {holder}; stop that one, or give this gateway a state directory of its own"
            ) from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def sync(self) -> None:
        """Make the names of what was made in the directory survive a power cut. Raises `StoreDamaged`.

        SQLite does that with the first commit of its WAL, and goes on whatever comes of it.
        """
        for path in (self._directory, self._directory.parent):
            try:
                _sync_directory(path)
            except OSError as error:
                if error.errno in NO_SYNC:
                    continue
                raise StoreDamaged(
                    f"{path} cannot be synced: {error.strerror}; look at the disk before anything else"
                ) from error

    def release(self) -> None:
        """Let another process have it."""
        self._file.close()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(path: Path) -> None:
    """See to it that the file is there, as its owner's alone if it is new; whoever opens it next says what is wrong."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, OWNER_ONLY))


class Reserve:
    """A file that is there only to be given up."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def make(self) -> bool:
        """Whether it is there, or could be made."""
        path = self._path
        if path is None or path.exists():
            return True
        if shutil.disk_usage(path.parent).free < 2 * RESERVE_BYTES:
            return False
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, OWNER_ONLY), "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            except OSError as error:
                path.unlink()
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    return False
                raise
        return True

    def give_up(self) -> None:
        """Turn it into free space."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Space:
    """Decides whether there is room for more events. All sizes in bytes."""

    def __init__(self, reserve: Reserve, limit: int) -> None:
        self._reserve = reserve
        self._limit = limit
        self._dry = not reserve.make()
        self.scarce = False
        """Settled events should go before their time."""

    def refuses(self, used: int, free: int, more: int) -> str | None:
        """Why `more` bytes of events cannot be stored beside `used` ones, with `free` ones in the file."""
        self.scarce = used + more > self._limit * PRESSURE
        if used + more > self._limit:
            return f"the store holds {used} of {self._limit} bytes (maxBytes) and what is in it is not settled yet"
        if self._dry and not self._recovered(free - more):
            self.scarce = True
            return "the disk of the state directory is full"
        return None

    def ran_out(self) -> None:
        """A write found the disk full: from here on settling has the reserve's place."""
        self._reserve.give_up()
        self._dry = True
        self.scarce = True

    def _recovered(self, free: int) -> bool:
        if self._reserve.make():
            self._dry = False
            return True
        return free >= RESERVE_BYTES
