"""Watching one event at all workers: one of them takes it, and where they share a broker another may deliver it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mesh_gateway.gateway.admin.watch import event_of, until_done
from mesh_gateway.gateway.workers.admin.asked import Several, known, serving
from mesh_gateway.gateway.workers.asking import Asking, Silent


class GroupWatch:
    """The handler."""

    def __init__(self, group: Several) -> None:
        self._group = group

    async def watch(self, request: Request) -> Response:
        """What any worker says of one event."""
        broker = known(self._group, request.query_params.get("broker"))
        source, id = event_of(request)
        target = f"/api/v1/watch?{urlencode({'broker': broker, 'source': source, 'id': id})}"
        workers = [asking for _, asking in serving(self._group)]
        return StreamingResponse(_followed(workers, target), media_type="application/x-ndjson")


async def _followed(workers: Sequence[Asking], target: str) -> AsyncIterator[str]:
    facts: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        watching = [asyncio.Event() for _ in workers]
        following = [
            tasks.create_task(_follow(asking, target, facts, begun))
            for asking, begun in zip(workers, watching, strict=True)
        ]
        try:
            for begun in watching:
                await begun.wait()
            async for line in until_done(facts):
                yield line
        finally:
            for one in following:
                one.cancel()


async def _follow(
    asking: Asking, target: str, facts: asyncio.Queue[Mapping[str, Any]], begun: asyncio.Event
) -> None:
    try:
        async for fact in asking.lines(target):
            if fact["event"] == "watching":
                begun.set()
            elif fact["event"] in ("matched", "attempt", "ended"):
                facts.put_nowait(fact)
    except Silent:
        pass  # the others are watched on
    finally:
        begun.set()
