"""Whose state is where, and which of it is left over by workers that are no more.

`STATE` itself is worker 0's, and that of a gateway in one process; `STATE/_workers/1` is worker 1's, and so on. In
`STATE/_workers` are also their sockets, while they run, the parent's lock, and how many they were.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import apsw

from mesh_gateway.errors import NotPermitted, StoreDamaged, TransportError
from mesh_gateway.gateway.staying import MEMORY
from mesh_gateway.transport.embedded.space import Hold
from mesh_gateway.transport.embedded.store import Store, StoredChannel, StoredGroup

FOLDER = "_workers"
"""No Transport has an underscore in its name, and with it a folder of this one."""

NUMBER = "workers"
"""The file in it that says how many they were."""


@contextlib.contextmanager
def held(state: Path) -> Iterator[Callable[[str], str]]:
    """The right to be the parent of these workers; gives the paths of their sockets by name.

    Raises `StoreDamaged` naming the process that has it, `NotPermitted`.
    """
    folder = state / FOLDER
    hold = Hold(folder)
    try:
        _make_private(folder)
        # A socket's path may have 107 bytes, and that of a state directory has more: so it is found through this.
        opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            yield lambda name: f"/proc/self/fd/{opened}/{name}"
        finally:
            os.close(opened)
            for one in (*folder.glob("*.sock"), *folder.glob("*.store")):
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


def admin_socket(number: int) -> str:
    """The name of the socket of a worker's admin API."""
    return f"{number}.sock"


def store_socket(number: int) -> str:
    """The name of the socket over which a worker's neighbours store."""
    return f"{number}.store"


# ── how many they were ───────────────────────────────────────────────────────────────────────


def number_before(state: Path) -> int:
    """How many workers served this state when it was served last. Raises `StoreDamaged`."""
    path = state / FOLDER / NUMBER
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 1
    except (OSError, ValueError) as error:
        raise StoreDamaged(
            f"{path} cannot be read ({error}): it says how many workers stored the events that wait here; write that number into it"
        ) from error


def note_number(state: Path, workers: int) -> None:
    """Have `number_before` tell this from now on. Where there was one process only, nothing is written. Raises `NotPermitted`."""
    if number_before(state) == workers:
        return
    path = state / FOLDER / NUMBER
    new = path.with_suffix(".new")
    try:
        with new.open("w") as file:
            file.write(f"{workers}\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError as error:
        raise NotPermitted(f"{path} cannot be written: {error.strerror}") from error


# ── what is left over ────────────────────────────────────────────────────────────────────────


def waiting(state: Path, transport: str, channels: Collection[str]) -> bool:
    """Whether any worker's store of this embedded transport has something unsettled in one of these channels. Reads files.

    A store that cannot be looked into counts.
    """
    homes = [state, *(path for _, path in _directories(state))]
    folders = [home if transport == "embedded" else home / transport for home in homes]
    return any(
        _unsettled(folder, lambda channel: channel.name in channels) for folder in folders if folder.is_dir()
    )


def left_over(state: Path, workers: int) -> list[int]:
    """The numbers of workers that are no more among `workers` and whose stores may still hold something. Reads files.

    A store that cannot be looked into counts: whoever opens it to serve it will say what is wrong.
    """
    return [number for number, path in _directories(state) if number >= workers and _holds_something(path)]


def _directories(state: Path) -> list[tuple[int, Path]]:
    """Of all workers but 0 that there ever were, by number."""
    try:
        paths = [path for path in (state / FOLDER).iterdir() if path.name.isdecimal() and path.is_dir()]
    except OSError:
        return []
    return sorted((int(path.name), path) for path in paths)


def _holds_something(state: Path) -> bool:
    return any(_unsettled(folder, _any) for folder in (state, *_folders(state)))


def _any(channel: StoredChannel) -> bool:
    return True


def _folders(state: Path) -> Iterator[Path]:
    """One for each further transport that keeps files. What came by relays once is remembered, and delivered by nobody."""
    return (path for path in state.iterdir() if path.is_dir() and path.name != MEMORY)


def _unsettled(folder: Path, which: Callable[[StoredChannel], bool]) -> bool:
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
            return any(which(channel) and _waits(channel) for channel in store.channels())
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
