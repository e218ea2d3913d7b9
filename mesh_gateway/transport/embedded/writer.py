"""The one thread that touches the file: whatever was handed over during a commit goes into the next.

Jobs are functions of the store. *Writes* of one round share a transaction and one fsync, and hear of
it when the commit has returned; *reads* run between transactions. The event loop is woken once a
round, not once a job.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw

from mesh_gateway.errors import MeshError, StoreDamaged, StoreFull
from mesh_gateway.transport.embedded.store import Store

T = TypeVar("T")
Job = Callable[[Store], Any]

BALLAST_BYTES = 4 * 2**20
"""Kept free for settling when the disk is full: a settle writes a few pages of 4 KiB to the WAL, and
1,000 pages of WAL are folded back before it grows further; so 4 MiB always suffice for the next one."""

RETRY_FULL_SECONDS = 2.0


class _Asked:
    __slots__ = ("ending", "error", "job", "needs_room", "result", "undo")

    def __init__(
        self, job: Job, ending: asyncio.Future[Any], *, needs_room: bool, undo: Callable[[], None] | None
    ) -> None:
        self.job = job
        self.ending = ending
        self.needs_room = needs_room
        self.undo = undo
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs jobs on a store in a thread of its own. Called from one event loop."""

    def __init__(
        self, open_store: Callable[[], Store], *, ballast: Path | None, on_fatal: Callable[[str], None]
    ) -> None:
        self._open_store = open_store
        self._ballast = ballast
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._condition = threading.Condition()
        self._writes: list[_Asked] = []
        self._reads: list[_Asked] = []
        self._closing = False
        self._failure: str | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="mesh-gateway-store", daemon=True)

    async def open(self) -> None:
        """Start the thread and open the file. Raises `StoreDamaged`."""
        self._thread.start()
        await self._opened

    def submit(
        self, job: Callable[[Store], T], *, needs_room: bool = False, undo: Callable[[], None] | None = None
    ) -> asyncio.Future[T]:
        """Run `job` in the next transaction; the future ends when its commit has returned.

        `needs_room` jobs fail with `StoreFull` while the disk is full; others may use the ballast.
        `undo` takes back, in the thread, what `job` did outside the store when it is rolled back.
        """
        return self._ask("write", job, needs_room=needs_room, undo=undo)

    async def write(self, job: Callable[[Store], T], *, needs_room: bool = False) -> T:
        """As `submit`, awaited; cancelling does not take it back."""
        return await asyncio.shield(self.submit(job, needs_room=needs_room))

    async def read(self, job: Callable[[Store], T]) -> T:
        """Run `job` between transactions."""
        return await self._ask("read", job, needs_room=False, undo=None)

    async def close(self) -> None:
        """Finish what was asked for, checkpoint, close the file, end the thread."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        await self._ended
        self._thread.join()

    def _ask(
        self,
        kind: Literal["read", "write"],
        job: Callable[[Store], T],
        *,
        needs_room: bool,
        undo: Callable[[], None] | None,
    ) -> asyncio.Future[T]:
        asked = _Asked(job, self._loop.create_future(), needs_room=needs_room, undo=undo)
        with self._condition:
            if self._failure is not None or self._closing:
                asked.ending.set_exception(StoreDamaged(self._failure or "the store is closed"))
            else:
                (self._writes if kind == "write" else self._reads).append(asked)
                self._condition.notify()
        return asked.ending

    # ── in the thread ────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            store = self._open_store()
            self._make_ballast()
        except Exception as error:  # noqa: BLE001  # handed to `open`, whatever it is
            self._tell(self._opened.set_exception, _translated(error))
            self._tell(self._ended.set_result, None)
            return
        self._tell(self._opened.set_result, None)
        try:
            while self._round(store):
                pass
        finally:
            try:
                store.close()
            except apsw.Error as error:
                self._fail(str(error))
            self._tell(self._ended.set_result, None)

    def _round(self, store: Store) -> bool:
        with self._condition:
            while not (self._writes or self._reads or self._closing):
                self._condition.wait()
            writes, self._writes = self._writes, []
            reads, self._reads = self._reads, []
            if not (writes or reads):
                return False
        if self._failure is None:
            self._commit(store, writes)
        for asked in reads:
            self._run_read(store, asked)
        if self._failure is not None:
            for asked in (*writes, *reads):
                asked.error = StoreDamaged(self._failure)
        self._loop.call_soon_threadsafe(_end, (*writes, *reads))
        return True

    def _commit(self, store: Store, writes: list[_Asked]) -> None:
        """All of a round in one transaction; when the disk is full, what needs no room alone."""
        if not writes:
            return
        if self._is_full() and not self._has_room_again():
            self._refuse_for_room(writes)
            writes = [asked for asked in writes if asked.error is None]
        try:
            self._transact(store, writes)
        except apsw.FullError:
            self._release_ballast()
            self._refuse_for_room(writes)
            self._commit_the_rest(store, [asked for asked in writes if asked.error is None])
        except Exception as error:  # noqa: BLE001  # crash-only: whatever it was, the file is not trusted
            self._fail(str(error))

    def _commit_the_rest(self, store: Store, writes: list[_Asked]) -> None:
        """On a full disk: what needs no room, with the reserve released."""
        try:
            self._transact(store, writes)
        except apsw.FullError:
            for asked in writes:
                asked.error = StoreFull("the disk is full, the reserve too", retry_after=RETRY_FULL_SECONDS)
        except Exception as error:  # noqa: BLE001  # crash-only
            self._fail(str(error))

    def _transact(self, store: Store, writes: list[_Asked]) -> None:
        if not writes:
            return
        ran: list[_Asked] = []
        try:
            with store.transaction():
                for asked in writes:
                    try:
                        asked.result = asked.job(store)
                        ran.append(asked)
                    except MeshError as error:
                        asked.error = error
        except BaseException:
            for asked in reversed(ran):
                if asked.undo is not None:
                    asked.undo()
            raise

    def _run_read(self, store: Store, asked: _Asked) -> None:
        try:
            asked.result = asked.job(store)
        except MeshError as error:
            asked.error = error
        except Exception as error:  # noqa: BLE001  # crash-only; and nobody may wait for ever
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, why: str) -> None:
        """Crash-only: after a failed write or sync nothing this connection says can be believed (V9)."""
        if self._failure is None:
            self._failure = f"the store failed: {why}"
            self._tell(self._on_fatal, self._failure)

    def _tell(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    # ── a full disk ──────────────────────────────────────────────────────────────────────────

    def _refuse_for_room(self, writes: list[_Asked]) -> None:
        for asked in writes:
            if asked.needs_room:
                asked.error = StoreFull("the disk is full", retry_after=RETRY_FULL_SECONDS)

    def _is_full(self) -> bool:
        return self._ballast is not None and not self._ballast.exists()

    def _has_room_again(self) -> bool:
        try:
            self._make_ballast()
        except OSError:
            self._release_ballast()
            return False
        return True

    def _make_ballast(self) -> None:
        if self._ballast is None or self._ballast.exists():
            return
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
            os.fsync(file.fileno())

    def _release_ballast(self) -> None:
        if self._ballast is not None:
            self._ballast.unlink(missing_ok=True)


def _end(jobs: tuple[_Asked, ...]) -> None:
    """On the loop: every job of a round hears its ending."""
    for asked in jobs:
        if asked.ending.done():
            continue
        if asked.error is None:
            asked.ending.set_result(asked.result)
        else:
            asked.ending.set_exception(asked.error)


def _translated(error: Exception) -> Exception:
    if isinstance(error, apsw.Error):
        return StoreDamaged(f"the store cannot be opened: {error}")
    if isinstance(error, OSError):
        return StoreDamaged(f"the state directory cannot be used: {error}")
    return error
