"""Dead letters of several workers: listed, shown, redriven, worker by worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesh_gateway.gateway.admin.deadletters import rows
from mesh_gateway.gateway.admin.gateway import name_in_path
from mesh_gateway.gateway.admin.requests import json_object
from mesh_gateway.gateway.workers import shares
from mesh_gateway.gateway.workers.admin.asked import Several, answer_of, good, known, serving
from mesh_gateway.gateway.workers.asking import Asking

log = structlog.get_logger("mesh_gateway.admin")


class GroupDeadLetters:
    """The handlers, one each."""

    def __init__(self, group: Several) -> None:
        self._group = group

    async def rows(self, request: Request) -> Response:
        """Rows of one broker, or of all; of the embedded transport worker by worker."""
        named = request.query_params.get("broker")
        brokers = [known(self._group, named)] if named else list(self._group.spec.brokers)
        return await rows(request, brokers, self._page)

    async def _page(self, broker: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        first, position = (0, after) if after is None else self._place(broker, after)
        items: list[dict[str, Any]] = []
        for worker, asking in self._owners(broker):
            if worker < first or len(items) >= limit:
                continue
            begin = position if worker == first else None
            items += await self._letters(broker, worker, asking, begin, limit - len(items))
        return items

    async def _letters(
        self, broker: str, worker: int, asking: Asking, after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """As many as there are, however few the worker gives at a time."""
        items: list[dict[str, Any]] = []
        while len(items) < limit:
            query = {"broker": broker, "limit": limit - len(items), **({"after": after} if after else {})}
            page = good(await answer_of(asking.get(f"/api/v1/dead-letters?{urlencode(query)}"))).document
            items += [self._placed(broker, worker, item) for item in page["items"]]
            after = page["next"]
            if after is None or not page["items"]:
                break
        return items

    async def one(self, request: Request) -> Response:
        broker = known(self._group, name_in_path(request))
        position = request.path_params["position"]
        worker, own = self._place(broker, position)
        asking = dict(self._owners(broker)).get(worker)
        if asking is None:
            raise HTTPException(404, f"{broker} has no dead letter at position {position[:130]}")
        answer = await answer_of(asking.get(f"/api/v1/dead-letters/{broker}/{quote(own, safe='')}"))
        return JSONResponse(self._placed(broker, worker, good(answer).document))

    async def redrive(self, request: Request) -> Response:
        """Worker by worker, until the limit is reached. When one of them fails, the answer says what others had sent by then."""
        broker = known(self._group, name_in_path(request))
        wanted = await json_object(request)
        limit: Any = wanted.get("limit")
        left: int | None = limit if isinstance(limit, int) and not isinstance(limit, bool) else None
        total: dict[str, Any] = {"matched": 0, "redriven": 0, "dry_run": wanted.get("dry_run", True)}
        by = {"by_trigger": Counter[str](), "by_reason": Counter[str]()}
        for at, (_, asking) in enumerate(self._owners(broker)):
            if left is not None:
                left = limit - by["by_trigger"].total()
                if at and left < 1:
                    break
            own = {**wanted, "limit": limit if left is None else left}
            try:
                answer = await answer_of(asking.post(f"/api/v1/dead-letters/{broker}/redrive", own))
                result = good(answer).document
            except HTTPException as error:
                raise _besides(error, total["redriven"]) from error
            for name in ("matched", "redriven"):
                total[name] += result[name]
            for name, counter in by.items():
                counter.update(result[name])
        if total["dry_run"] is False:
            log.info(
                "dead letters redriven", broker=broker, trigger=wanted.get("trigger"), redriven=total["redriven"],
                by=None if request.client is None else request.client.host,
            )  # fmt: skip
        return JSONResponse({**total, **{name: dict(counter) for name, counter in by.items()}})

    def _owners(self, broker: str) -> list[tuple[int, Asking]]:
        """Who has dead letters of this broker: each its own, or all the same. Nobody is passed over without a word."""
        asked = serving(self._group)
        if not shares.local(self._group.spec, broker):
            return asked[:1]
        if self._group.away:
            missing = ", ".join(map(str, self._group.away))
            raise HTTPException(
                503,
                f"worker {missing} does not serve at the moment, and has dead letters of its own; ask again",
            )
        return asked

    def _place(self, broker: str, position: str) -> tuple[int, str]:
        """Which worker a position is of, and what it is there."""
        worker, dot, own = position.partition(".")
        if not shares.local(self._group.spec, broker):
            return serving(self._group)[0][0], position
        if not dot or not worker.isdecimal() or len(worker) > 4:
            return 0, position
        return int(worker), own

    def _placed(self, broker: str, worker: int, item: Mapping[str, Any]) -> dict[str, Any]:
        if worker == 0 or not shares.local(self._group.spec, broker):
            return dict(item)
        return {**item, "position": f"{worker}.{item['position']}"}


def _besides(error: HTTPException, redriven: int) -> HTTPException:
    """The same error, with what was done before it and stays done."""
    if not redriven:
        return error
    return HTTPException(
        error.status_code, f"{error.detail}; {redriven} of other workers were redriven before that"
    )
