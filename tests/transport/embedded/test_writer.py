"""The writer's thread: nobody waits for ever, and after a failure nothing succeeds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import apsw
import pytest

from mesh_gateway.errors import NotPermitted, StoreDamaged, TransportError
from mesh_gateway.transport.embedded.committer import Committer, Job
from mesh_gateway.transport.embedded.space import Reserve, Space
from mesh_gateway.transport.embedded.store import Store, StoredChannel
from mesh_gateway.transport.embedded.writer import Writer


class Failing(Committer):
    """Its next run fails as a broken disk does; the one after that would succeed."""

    failures = 1

    def run(self, jobs: Sequence[Job]) -> None:
        if self.failures:
            self.failures -= 1
            raise apsw.IOError("the disk could not write")
        super().run(jobs)


def opening(kind: type[Committer] = Committer) -> Callable[[], Committer]:
    return lambda: kind(Store(None), Space(Reserve(None), 2**30))


async def test_after_a_failure_every_later_job_is_refused():
    told: list[str] = []
    writer = Writer(opening(Failing), told.append)
    await writer.open()

    for _ in range(3):
        with pytest.raises(StoreDamaged, match="could not write"):
            await writer.call("write", lambda store: None)

    await writer.close()
    assert len(told) == 1


async def test_the_owner_hears_of_a_failure_before_those_who_wait():
    order: list[str] = []
    writer = Writer(opening(Failing), lambda why: order.append("owner"))
    await writer.open()
    ended = asyncio.Event()

    def done(result: Any, error: TransportError | None) -> None:
        order.append(type(error).__name__)
        ended.set()

    writer.submit(Job("append", lambda store: None, done))
    await ended.wait()
    await writer.close()

    assert order == ["owner", "StoreDamaged"]


async def test_what_was_submitted_is_done_before_it_closes():
    writer = Writer(opening(), lambda why: None)
    await writer.open()
    done: list[int] = []

    def note(number: int, error: TransportError | None) -> None:
        done.append(number)

    for number in range(50):
        writer.submit(Job("write", partial(lambda number, store: number, number), note))

    await writer.close()

    assert done == list(range(50))


async def test_a_store_that_cannot_be_opened_leaves_no_thread():
    threads = threading.active_count()

    def refuse() -> Committer:
        raise NotPermitted("not for you")

    writer = Writer(refuse, lambda why: None)
    with pytest.raises(NotPermitted, match="not for you"):
        await writer.open()
    await writer.close()

    assert threading.active_count() == threads


async def test_a_store_that_opens_and_cannot_be_read_leaves_no_thread(monkeypatch):
    threads = threading.active_count()

    def unreadable(store: Store) -> list[StoredChannel]:
        raise apsw.IOError("the disk could not read")

    monkeypatch.setattr(Store, "channels", unreadable)
    writer = Writer(opening(), lambda why: None)
    with pytest.raises(StoreDamaged, match="could not read"):
        await writer.open()
    await writer.close()

    assert threading.active_count() == threads


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_in_a_job_fails_everybody_instead_of_leaving_them_waiting():
    told: list[str] = []
    writer = Writer(opening(), told.append)
    await writer.open()

    def bug(store: Store) -> None:
        raise ZeroDivisionError

    writer.submit(Job("write", bug, lambda result, error: None))
    with pytest.raises(StoreDamaged, match="unexpectedly"):
        await writer.call("write", lambda store: None)
    await writer.close()

    assert told == ["the store's thread ended unexpectedly"]


async def test_whoever_does_not_wait_any_more_disturbs_nobody():
    writer = Writer(opening(), lambda why: None)
    await writer.open()
    waiting = asyncio.ensure_future(writer.call("write", lambda store: 1))
    await asyncio.sleep(0)
    waiting.cancel()

    assert await writer.call("read", lambda store: 2) == 2
    await writer.close()
