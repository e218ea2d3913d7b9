"""A worker as its parent sees it, and documents that not all workers take."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.gateway.reload import CannotReload
from mesh_gateway.gateway.workers import worker as workers
from mesh_gateway.gateway.workers.asking import Answer, Silent
from mesh_gateway.gateway.workers.change import go_over
from mesh_gateway.gateway.workers.control import Begin
from mesh_gateway.gateway.workers.worker import MISSES, Worker
from mesh_gateway.topology.spec import GatewaySpec
from tests.harness import PATIENCE

BEFORE = GatewaySpec(digest="before")
ANSWERS, NONE = [True], [False]
AFTER = replace(BEFORE, digest="after")


class Deaf:
    """The admin API of a worker that answers as it is told."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)

    async def get(self, target: str) -> Answer:
        if not self.answers.pop(0):
            raise Silent("worker 1 gives no answer in time")
        return Answer(200, b"ok\n")


class Watched(Worker):
    """A worker without a process; what would end it is noted."""

    def __init__(self, *answers: bool) -> None:
        super().__init__(1, lambda name: "nowhere", _nothing, asyncio.Lock())
        self.asking = Deaf(*answers)  # type: ignore[assignment]  # as far as it is asked here
        self.up.set()
        self.killed = 0

    def kill(self) -> None:
        self.killed += 1

    async def watched(self) -> None:
        """Until there are no more answers."""

        async def sleep(seconds: float) -> None:
            if not self.asking.answers:  # type: ignore[attr-defined]
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await self.watch(sleep)


def _nothing() -> Any:
    raise AssertionError("nobody starts it")


async def test_a_worker_whose_loop_stands_still_is_ended():
    worker = Watched(*ANSWERS, *NONE * MISSES)

    await worker.watched()

    assert worker.killed == 1


async def test_a_worker_that_was_late_now_and_then_is_left_alone():
    worker = Watched(*NONE * (MISSES - 1), *ANSWERS, *NONE * (MISSES - 1))

    await worker.watched()

    assert worker.killed == 0


class Fake:
    """A worker that goes over to documents, or says why not."""

    def __init__(self, number: int, refuses: str = "", *, dies: bool = False) -> None:
        self.number = number
        self.pid = 1
        self.served: list[str] = []
        self.killed = 0
        self._refuses = refuses
        self._dies = dies

    async def serve(self, share: GatewaySpec) -> str:
        if self._dies:
            raise Silent(f"worker {self.number} has ended meanwhile")
        if self._refuses and share.digest == "after":
            return self._refuses
        self.served.append(share.digest)
        return ""

    def kill(self) -> None:
        self.killed += 1


async def refusal(*workers: Fake) -> str:
    """Why these do not go over to other documents."""
    with pytest.raises(CannotReload) as error:
        async with asyncio.timeout(PATIENCE):
            await go_over(workers, lambda number: AFTER, lambda number: BEFORE)
    return str(error.value)


async def test_documents_that_one_worker_refuses_are_served_by_none():
    first, second, third = Fake(0), Fake(1, "its certificate is gone"), Fake(2)

    said = await refusal(first, second, third)

    assert said == "worker 1: its certificate is gone"
    assert [one.served for one in (first, second, third)] == [["after", "before"], [], ["after", "before"]]


async def test_the_first_worker_tries_documents_before_the_others():
    first, second = Fake(0, "no"), Fake(1)

    assert await refusal(first, second) == "worker 0: no"
    assert second.served == []


async def test_a_worker_that_dies_of_new_documents_refuses_them():
    first, second = Fake(0, dies=True), Fake(1)

    assert "worker 0 has ended" in await refusal(first, second)
    assert (first.killed, second.served) == (1, [])


# ── a process that does as the test says ─────────────────────────────────────────────────────

IDLE = "import time; time.sleep(600)"


@contextlib.asynccontextmanager
async def idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[[], None] = lambda: None
) -> AsyncIterator[Worker]:
    """A worker whose process does nothing and reads nothing; `started` is called when there is one, and nobody knows yet."""
    start = asyncio.create_subprocess_exec

    async def start_idle(*words: Any, **settings: Any) -> asyncio.subprocess.Process:
        process = await start(sys.executable, "-c", IDLE, **settings)
        started()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_idle)
    begin = Begin(1, BEFORE, "shared")
    worker = Worker(1, lambda name: str(tmp_path / name), lambda: begin, asyncio.Lock())
    running = asyncio.create_task(worker.run())
    try:
        yield worker
        async with asyncio.timeout(PATIENCE):
            await running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_worker_that_is_told_to_stop_while_it_is_started_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with idle(tmp_path, monkeypatch, started=lambda: worker.stop()) as worker:
        pass

    assert (worker.state, worker.pid) == ("stopped", None)


async def test_a_worker_that_does_not_read_holds_no_reload_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(workers, "SERVE_SECONDS", 0.1)
    more_than_a_socket_takes = replace(BEFORE, digest="x" * 2**23)

    async with idle(tmp_path, monkeypatch) as worker:
        async with asyncio.timeout(PATIENCE):
            while worker._control is None:
                await asyncio.sleep(0.01)
            with pytest.raises(Silent, match="worker 1 does not say"):
                await worker.serve(more_than_a_socket_takes)
        worker.kill()
        worker.stop()
