"""One round: what has come together is committed with one fsync, then what wants to read is read.

Pure of threads, so that a test can cut the power in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import apsw

from mesh_gateway.errors import StoreFull, TransportError
from mesh_gateway.transport.embedded.space import Hold, Reserve, Space, make_private
from mesh_gateway.transport.embedded.store import Store

RETRY_FULL = 5.0
"""Seconds after which a refused producer should come again: settled events go within one or two."""

Kind = Literal["append", "write", "read"]
"""`append` may be refused for want of room, `write` uses the reserve, `read` changes nothing it was asked to."""


@dataclass(slots=True, eq=False)
class Job:
    """Something to do with the store; after its round it has a result or an error."""

    kind: Kind
    work: Callable[[Store], Any]
    done: Callable[[Any, TransportError | None], None]
    """Told once, on the event loop. Must not raise."""
    size: int = 0
    """Bytes that an `append` adds."""
    result: Any = None
    error: TransportError | None = None


class Committer:
    """Owns an open store, and the state directory with it."""

    def __init__(self, store: Store, space: Space, hold: Hold | None = None) -> None:
        self.store = store
        self.space = space
        self._hold = hold

    @classmethod
    def open(
        cls, directory: Path | None, limit: int, open_store: Callable[[Path | None], Store]
    ) -> Committer:
        """Take the state directory (None = in memory) and open its store. Raises `TransportError`."""
        if directory is None:
            return cls(open_store(None), Space(Reserve(None), limit))
        hold = Hold(directory)
        path = directory / "mesh.db"
        make_private(path)  # SQLite would let everybody read it; its -wal is made as it is
        try:
            store = open_store(path)
        except BaseException:
            hold.release()
            raise
        committer = cls(store, Space(Reserve(directory / "mesh.reserve"), limit), hold)
        try:
            hold.sync()
        except BaseException:
            committer.close(trusted=False)
            raise
        return committer

    def run(self, jobs: Sequence[Job]) -> None:
        """Give every job its result or its error.

        Raises `apsw.Error` when the file cannot be trusted any more: nothing may follow then.
        """
        writes = self._admit([job for job in jobs if job.kind != "read"])
        if writes:
            self._write(writes)
        for job in jobs:
            if job.kind == "read":
                job.result = job.work(self.store)

    def checkpoint(self) -> None:
        """Fold the WAL in if it is time; after the endings have been told. Raises as `run`."""
        try:
            self.store.checkpoint()
        except apsw.FullError:
            self.space.ran_out()  # the next round tries again, with the reserve's place

    def close(self, *, trusted: bool) -> None:
        """Close the file, in order if it is `trusted`, and leave the state directory."""
        try:
            if not trusted:
                self.store.distrust()
            self.store.close()
        finally:
            if self._hold is not None:
                self._hold.release()

    def _admit(self, writes: list[Job]) -> list[Job]:
        """Those that may be tried; the others are refused for want of room."""
        if all(job.kind == "write" for job in writes):
            return writes
        admitted = []
        used, free = self.store.usage()
        for job in writes:
            if job.kind == "append":
                why = self.space.refuses(used, free, job.size)
                if why is not None:
                    job.error = StoreFull(why, retry_after=RETRY_FULL)
                    continue
                used += job.size
                free -= job.size
            admitted.append(job)
        return admitted

    def _write(self, jobs: list[Job]) -> None:
        try:
            self._commit(jobs)
        except apsw.FullError:
            self.space.ran_out()
            self._write_without_appends(jobs)

    def _write_without_appends(self, jobs: list[Job]) -> None:
        """On a full disk: what makes room, in the reserve's place."""
        full = "the disk of the state directory is full"
        rest = [job for job in jobs if job.kind != "append"]
        try:
            if rest:
                self._commit(rest)
        except apsw.FullError:
            for job in rest:
                job.error = StoreFull(full, retry_after=RETRY_FULL)
        for job in jobs:
            if job.kind == "append":
                job.error = StoreFull(full, retry_after=RETRY_FULL)

    def _commit(self, jobs: list[Job]) -> None:
        results = self.store.transact([job.work for job in jobs])
        for job, result in zip(jobs, results, strict=True):
            job.result = result
