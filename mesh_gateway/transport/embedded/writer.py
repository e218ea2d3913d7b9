"""The one thread that touches the file: whatever was handed over during a commit goes into the next.

    loop:   submit ─▶ queue              done(result, error) ◀── one wake-up a round
                        │                        ▲
    thread:             └─▶ take all ─▶ commit ──┘─▶ checkpoint

There is no linger: at low load a round is one job, at high load rounds grow by themselves. After a
failed write or sync nothing succeeds any more in this process (a retried fsync may report success
for pages that are lost): everybody is told, and the process is expected to end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import apsw

from mesh_gateway.errors import StoreDamaged, TransportError
from mesh_gateway.transport.embedded.committer import Committer, Job, Kind
from mesh_gateway.transport.embedded.store import Store, StoredChannel

T = TypeVar("T")


class Writer:
    """Runs jobs in its thread. Made, called and told on one event loop."""

    def __init__(self, open_committer: Callable[[], Committer], on_failure: Callable[[str], None]) -> None:
        self._open_committer = open_committer
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._failure: str | None = None
        self._opened: asyncio.Future[list[StoredChannel]] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._store_thread = threading.Thread(target=self._main, name="mesh-gateway-store", daemon=True)

    async def open(self) -> list[StoredChannel]:
        """Start the thread and open the file; what is in it. Raises `TransportError`."""
        self._store_thread.start()
        return await asyncio.shield(self._opened)

    def submit(self, job: Job) -> None:
        """Run `job` in the next round. Not after `close`."""
        self._jobs.put(job)

    async def call(self, kind: Kind, work: Callable[[Store], T]) -> T:
        """What `work` gives; a write is durable then. Cancelling does not take it back. Raises `TransportError`."""
        ending: asyncio.Future[T] = self._loop.create_future()
        self.submit(Job(kind, work, ended(ending)))
        return await ending

    async def close(self) -> None:
        """Finish what was submitted, close the file, end the thread."""
        self._jobs.put(None)
        await asyncio.shield(self._ended)
        self._store_thread.join()

    # ── in the thread ────────────────────────────────────────────────────────────────────────

    def _main(self) -> None:
        try:
            committer = self._open()
            if committer is not None:
                self._serve(committer)
        finally:
            # Only a bug of ours leaves the first of these anything to do.
            self._tell(_refuse, self._opened, StoreDamaged("the store's thread ended unexpectedly"))
            self._tell(self._ended.set_result, None)

    def _open(self) -> Committer | None:
        try:
            committer = self._open_committer()
        except TransportError as error:
            self._tell(_refuse, self._opened, error)
            return None
        try:
            self._tell(_fulfil, self._opened, committer.store.channels())
        except apsw.Error as error:
            self._tell(_refuse, self._opened, StoreDamaged(f"the store cannot be read: {error}"))
            committer.close(trusted=False)
            return None
        return committer

    def _serve(self, committer: Committer) -> None:
        """Rounds until `close`; from a failure on, every job is refused."""
        jobs: list[Job] = []
        last = finished = False
        try:
            while not last:
                jobs, last = self._take()
                self._round(committer, jobs)
            self._close(committer)
            finished = True
        finally:
            if not finished:  # a bug of ours shows itself as what it is, and nobody waits for ever
                self._fail("the store's thread ended unexpectedly", jobs)
                while not last:
                    jobs, last = self._take()
                    self._refuse_all(jobs)

    def _round(self, committer: Committer, jobs: list[Job]) -> None:
        if self._failure is not None:
            self._refuse_all(jobs)
            return
        try:
            committer.run(jobs)
        except apsw.Error as error:
            self._fail(f"the store cannot be trusted any more: {type(error).__name__}: {error}", jobs)
            return
        self._tell(_end, jobs)
        try:
            committer.checkpoint()
        except apsw.Error as error:
            self._fail(f"the store cannot be trusted any more: {type(error).__name__}: {error}", ())

    def _take(self) -> tuple[list[Job], bool]:
        """Everything that has come together, and whether it is the last there will ever be."""
        jobs: list[Job] = []
        job = self._jobs.get()
        try:
            while job is not None:
                jobs.append(job)
                job = self._jobs.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _fail(self, why: str, jobs: Sequence[Job]) -> None:
        """Tell the owner first, then those whose outcome nobody knows."""
        self._failure = why
        self._tell(self._on_failure, why)
        self._refuse_all(jobs)

    def _refuse_all(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.error = StoreDamaged(self._failure or "")
        self._tell(_end, jobs)

    def _close(self, committer: Committer) -> None:
        try:
            committer.close(trusted=self._failure is None)
        except apsw.Error as error:
            self._fail(f"the store could not be closed in order: {error}", ())

    def _tell(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(callback, *arguments)


def ended(ending: asyncio.Future[T]) -> Callable[[T, TransportError | None], None]:
    """A job's `done` that ends a future; a future nobody awaits any more is left alone."""
    return partial(_ended, ending)


def _ended(ending: asyncio.Future[T], result: T, error: TransportError | None) -> None:
    if error is None:
        _fulfil(ending, result)
    else:
        _refuse(ending, error)


def _end(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.done(job.result, job.error)


def _fulfil(ending: asyncio.Future[T], result: T) -> None:
    if not ending.done():
        ending.set_result(result)


def _refuse(ending: asyncio.Future[Any], error: TransportError) -> None:
    if not ending.done():
        ending.set_exception(error)
