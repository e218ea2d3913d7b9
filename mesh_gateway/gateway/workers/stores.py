"""Whose state is where, and which of it is left over by workers that are no more.

`STATE` itself is worker 0's, and that of a gateway in one process; `STATE/_workers/1` is worker 1's, and so on. In
`STATE/_workers` are also the sockets of their admin APIs, while they run, and the parent's lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from mesh_gateway.errors import NotPermitted, TransportError
from mesh_gateway.gateway.staying import MEMORY
from mesh_gateway.transport.embedded.space import Hold
from mesh_gateway.transport.embedded.store import Store, StoredChannel, StoredGroup

FOLDER = "_workers"
"""No Transport has an underscore in its name, and with it a folder of this one."""


@contextlib.contextmanager
def held(state: Path) -> Iterator[Callable[[int], str]]:
    """The right to be the parent of these workers; gives the path of each one's socket.

    Raises `StoreDamaged` naming the process that has it, `NotPermitted`.
    """
    folder = state / FOLDER
    hold = Hold(folder)
    try:
        _make_private(folder)
        # A socket's path may have 107 bytes, and that of a state directory has more: so it is found through this.
        opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            yield lambda number: f"/proc/self/fd/{opened}/{number}.sock"
        finally:
            os.close(opened)
            for one in folder.glob("*.sock"):
                one.unlink()
    finally:
        hold.release()


def _make_private(folder: Path) -> None:
    """Nobody else may ask the workers anything. Raises `NotPermitted`."""
    try:
        folder.chmod(0o700)
    except OSError as error:
        raise NotPermitted(
            f"{folder} cannot be closed to others: {error.strerror}; it has to belong to the user that runs this gateway"
        ) from error


def directory(state: Path, number: int) -> Path:
    """The state directory of one worker."""
    return state if number == 0 else state / FOLDER / str(number)


def left_over(state: Path, workers: int) -> list[int]:
    """The numbers of workers that are no more among `workers` and whose stores may still hold something. Reads files.

    A store that cannot be looked into counts: whoever opens it to serve it will say what is wrong.
    """
    try:
        names = [path.name for path in (state / FOLDER).iterdir() if path.is_dir()]
    except OSError:
        return []
    numbers = sorted(int(name) for name in names if name.isdecimal())
    return [number for number in numbers if number >= workers and _holds_something(directory(state, number))]


def _holds_something(state: Path) -> bool:
    return any(_unsettled(folder) for folder in (state, *_folders(state)))


def _folders(state: Path) -> Iterator[Path]:
    """One for each further transport that keeps files. What came by relays once is remembered, and delivered by nobody."""
    return (path for path in state.iterdir() if path.is_dir() and path.name != MEMORY)


def _unsettled(folder: Path) -> bool:
    path = folder / "mesh.db"
    if not path.is_file():
        # Files of somebody else's transport: only that knows. A folder with nothing but folders has none.
        return any(
            one.is_file() and one.name not in ("mesh.lock", "mesh.reserve") for one in folder.iterdir()
        )
    try:
        hold = Hold(folder)
    except TransportError:
        return True
    try:
        store = Store(path)
        try:
            return any(map(_waits, store.channels()))
        finally:
            store.close()
    except (TransportError, apsw.Error):
        return True
    finally:
        hold.release()


def _waits(channel: StoredChannel) -> bool:
    """Whether a group has not settled all that is there. Dead letters are never settled, only taken out."""
    if channel.first > channel.head:
        return False
    return not channel.groups or not all(_settled(group, channel) for group in channel.groups)


def _settled(group: StoredGroup, channel: StoredChannel) -> bool:
    through = max(group.watermark, channel.first - 1)
    for first, last in sorted(group.ranges):
        if first > through + 1:
            return False
        through = max(through, last)
    return through >= channel.head
