"""The files of `-f` as a running gateway reads them again: whole, never half-written, and watched if wanted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import structlog
import watchfiles

from mesh_gateway.gateway.aside import in_a_thread
from mesh_gateway.gateway.reload import CannotReload
from mesh_gateway.topology.sources import STDIN, Source

log = structlog.get_logger("mesh_gateway.reload")

PAUSE = 0.05
"""Seconds between two readings that must say the same: longer than an editor or a copy takes between two writes."""

READINGS = 100
"""Until the files are called restless: five seconds, in which nobody writes a few kilobytes."""

DEBOUNCE = 200
"""Milliseconds of quiet before a change is looked at, so that a checkout of many files is one."""

LOOK = 5.0
"""Seconds between two looks without a word of the system: on mounts that tell nothing, changes are found by these."""


class Files:
    """What `-f` names. What came over standard input is read once and stays as it was."""

    def __init__(self, paths: Sequence[str], *, pause: Callable[[float], None] = time.sleep) -> None:
        self._paths = [path for path in paths if path != STDIN]
        self._piped = Source.from_paths([STDIN]) if STDIN in paths else []
        self._pause = pause
        self._served: list[Source] = []
        """What was read last in order to be served."""

    @property
    def restless(self) -> bool:
        """Whether anything of it can change."""
        return bool(self._paths)

    def read(self) -> list[Source]:
        """The sources as they are at this moment, to be served."""
        self._served = self._now()
        return self._served

    def _now(self) -> list[Source]:
        return [*Source.from_paths(self._paths), *self._piped]

    def settled(self) -> list[Source]:
        """The sources once two readings in a row said the same, so that no half-written file is among them. Blocks.

        Raises `CannotReload` when they go on changing.
        """
        before = self._now()
        for _ in range(READINGS):
            self._pause(PAUSE)
            sources = self._now()
            if sources == before:
                self._served = sources
                return sources
            before = sources
        raise CannotReload("the files change all the time; write each elsewhere and rename it into place")

    def folders(self) -> set[Path]:
        """Where something happens when a file changes, appears, goes, or a link on the way to it leads elsewhere."""
        found: set[Path] = set()
        for name in self._paths:
            path = Path(name).absolute()
            if path.is_dir():
                found.add(path)
            for _ in range(MOST_LINKS):
                found.add(path.parent)
                if not path.is_symlink():
                    break
                path = path.parent / path.readlink()
            found.add(Path(name).resolve().parent)
        return {folder for folder in found if folder.is_dir()}

    async def changes(self) -> AsyncIterator[None]:
        """Whenever their content is another than what was read last to be served, until that has been read too."""
        # In a thread each time: on a mount that hangs, no more than this waits for it.
        if await in_a_thread(self._differ):
            yield
        async for _ in watchfiles.awatch(
            *await in_a_thread(self.folders),
            watch_filter=None,
            debounce=DEBOUNCE,
            rust_timeout=int(LOOK * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            if await in_a_thread(self._differ):
                yield

    def _differ(self) -> bool:
        return self._now() != self._served


MOST_LINKS = 40
"""Links in a row that are followed, as the system does."""
