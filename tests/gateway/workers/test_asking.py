"""The admin API of a worker that is slow, or says nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh_gateway.gateway.workers import asking
from mesh_gateway.gateway.workers.asking import Asking, Silent

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
async def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    """A worker that answers long after anybody who only wants to know something has gone."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(6 * asking.ANSWER_SECONDS):
                await reader.read()  # returns when who asks has gone
        writer.write(ANSWER)
        writer.close()

    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.05)
    path = str(tmp_path / "1.sock")
    async with await asyncio.start_unix_server(talk, path):
        yield Asking(1, path)


async def test_a_worker_that_is_asked_something_is_not_waited_for_long(slow: Asking):
    with pytest.raises(Silent, match="worker 1 gives no answer in time"):
        await slow.get("/livez")


async def test_a_worker_that_does_not_begin_to_answer_is_not_followed(slow: Asking):
    with pytest.raises(Silent, match="worker 1 gives no answer in time"):
        await anext(slow.lines("/api/v1/watch"))


async def test_a_worker_that_has_much_to_do_is_waited_for(slow: Asking):
    answer = await slow.post("/api/v1/dead-letters/ns/b/redrive", {"dry_run": False})

    assert (answer.status, answer.document) == (200, {})
