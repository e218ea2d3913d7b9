"""Dead letters: listed, shown, redriven."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesh_gateway.errors import Unsupported
from mesh_gateway.gateway import deadletters
from mesh_gateway.gateway.admin.gateway import Gateway, home_in_path, home_of
from mesh_gateway.gateway.admin.requests import json_object, number
from mesh_gateway.gateway.parts import BrokerParts

log = structlog.get_logger("mesh_gateway.admin")

MAX_PAGE = 1_000

T = TypeVar("T")


class DeadLetters:
    """The handlers, one each."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def rows(self, request: Request) -> Response:
        """Rows of one broker, or of all; `next` continues one broker's list."""
        named = request.query_params.get("broker")
        homes = [home_of(self._gateway, named)] if named else list(self._gateway.parts.brokers.values())
        return await rows(request, homes, _page)

    async def one(self, request: Request) -> Response:
        home = home_in_path(self._gateway, request)
        position = request.path_params["position"]
        letter = await deadletters.at(home, position)
        if letter is None:
            raise HTTPException(404, f"{home.spec.key} has no dead letter at position {position[:130]}")
        return JSONResponse(deadletters.document(home.spec.key, letter))

    async def redrive(self, request: Request) -> Response:
        home = home_in_path(self._gateway, request)
        wanted = await json_object(request)
        limit = wanted.get("limit")
        trigger = wanted.get("trigger")
        dry_run = wanted.get("dry_run", True)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise HTTPException(400, "limit: a whole number of 1 or more")
        if trigger is not None and not isinstance(trigger, str):
            raise HTTPException(400, "trigger: a name, or namespace/name")
        if not isinstance(dry_run, bool):
            raise HTTPException(400, "dry_run: true or false")
        result = await deadletters.redrive(
            home, self._gateway.parts, trigger=trigger, limit=limit, dry_run=dry_run
        )
        if not dry_run:
            log.info(
                "dead letters redriven", broker=home.spec.key, trigger=trigger, redriven=result.redriven,
                by=None if request.client is None else request.client.host,
            )  # fmt: skip
        return JSONResponse(result.document())


async def rows(
    request: Request,
    brokers: Iterable[T],
    page: Callable[[T, str | None, int], Awaitable[list[dict[str, Any]]]],
) -> Response:
    """The rows that `page` gives of each broker behind a position, up to a limit."""
    limit = number(request.query_params.get("limit"), default=100, most=MAX_PAGE)
    after = request.query_params.get("after")
    items: list[dict[str, Any]] = []
    following = None
    for broker in brokers:
        found = await page(broker, after, limit - len(items))
        items += found
        following = found[-1]["position"] if found else None
        if len(items) >= limit:
            break
    more = following if request.query_params.get("broker") and len(items) >= limit else None
    return JSONResponse({"items": items, "next": more})


async def _page(home: BrokerParts, after: str | None, limit: int) -> list[dict[str, Any]]:
    """A page of dead letters; a position that the transport cannot read is the caller's mistake."""
    try:
        letters = await deadletters.page(home, after=after, limit=limit)
    except Unsupported as error:
        if after is None:
            raise
        raise HTTPException(400, f"after={after[:130]!r} is not a position: {error}") from error
    return [deadletters.row(home.spec.key, letter) for letter in letters]
