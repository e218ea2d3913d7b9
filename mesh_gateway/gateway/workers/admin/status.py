"""What can be seen of several workers: only whether they are ready differs from one process."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mesh_gateway.gateway.admin.status import Status
from mesh_gateway.gateway.workers.admin.asked import Several
from mesh_gateway.gateway.workers.asking import Asking, Silent


class GroupStatus(Status):
    """Of a group of workers."""

    def __init__(self, group: Several) -> None:
        super().__init__(group)
        self._group = group

    async def ready(self, request: Request) -> Response:
        """Events can be made durable now, by one worker at the least."""
        ready = await self._group.ready()
        if "verbose" not in request.query_params:
            return PlainTextResponse("ok\n" if ready else f"{self._group.state}\n", 200 if ready else 503)
        found = await asyncio.gather(*(_checks(*worker) for worker in sorted(self._group.asked.items())))
        whole = await self._group.status()
        body = {
            "ready": ready,
            "state": whole["state"],
            "transports": whole["transports"],
            "workers": whole["workers"],
            "checks": [check for checks in found for check in checks],
        }
        return JSONResponse(body, 200 if ready else 503)


async def _checks(worker: int, asking: Asking) -> list[dict[str, Any]]:
    """What the health checks in one worker find; that it does not answer is a finding, too."""
    try:
        checks = (await asking.get("/readyz?verbose")).document["checks"]
    except Silent as error:
        return [{"name": f"worker {worker}", "ok": False, "detail": str(error)}]
    return [{**check, "name": f"worker {worker}: {check['name']}"} for check in checks]
