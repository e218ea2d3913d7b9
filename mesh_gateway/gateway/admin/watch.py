"""Watching one event: facts as they come, until its last copy has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mesh_gateway.gateway.admin.gateway import Gateway, home_of

WATCH_SECONDS = 600.0
"""A watch nobody ends is ended after ten minutes."""


class Watch:
    """The handler."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def watch(self, request: Request) -> Response:
        """Facts about one event, one JSON object a line, until its last copy has ended."""
        home = home_of(self._gateway, request.query_params.get("broker"))
        source, id = event_of(request)
        facts: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        try:
            self._gateway.watches.open(home.spec.key, source, id, facts.put_nowait)
        except ValueError as error:
            raise HTTPException(429, str(error)) from error
        stream = self._follow(home.spec.key, source, id, facts)
        return StreamingResponse(stream, media_type="application/x-ndjson")

    async def _follow(
        self, broker: str, source: str, id: str, facts: asyncio.Queue[Mapping[str, Any]]
    ) -> AsyncIterator[str]:
        try:
            async for line in until_done(facts):
                yield line
        finally:
            self._gateway.watches.close(broker, source, id)


def event_of(request: Request) -> tuple[str, str]:
    """Source and id of the event to watch. Raises a 400."""
    source, id = request.query_params.get("source"), request.query_params.get("id")
    if not source or not id:
        raise HTTPException(400, "watch needs broker, source and id")
    return source, id


async def until_done(facts: asyncio.Queue[Mapping[str, Any]]) -> AsyncIterator[str]:
    """The lines of a watch: from "watching" on, until every copy that was made of the event has ended."""
    waiting: set[str] | None = None
    try:
        yield _line({"event": "watching"})
        async with asyncio.timeout(WATCH_SECONDS):
            while waiting is None or waiting:
                fact = await facts.get()
                yield _line(fact)
                if fact["event"] == "matched":
                    waiting = (waiting or set()) | set(fact["triggers"])
                elif fact["event"] == "ended" and waiting is not None:
                    waiting.discard(fact["trigger"])
        yield _line({"event": "done"})
    except TimeoutError:
        yield _line({"event": "timeout"})


def _line(fact: Mapping[str, Any]) -> str:
    return json.dumps(fact) + "\n"
