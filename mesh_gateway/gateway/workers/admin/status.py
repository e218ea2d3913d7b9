"""What can be seen of several workers: only whether they are ready differs from one process."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mesh_gateway.gateway.admin.status import Status
from mesh_gateway.gateway.workers.admin.asked import Several, answer_of, serving


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
        found = [
            (worker, await answer_of(asking.get("/readyz?verbose")))
            for worker, asking in serving(self._group)
        ]
        checks = [
            {**check, "name": f"worker {worker}: {check['name']}"}
            for worker, answer in found
            for check in answer.document["checks"]
        ]
        whole = await self._group.status()
        body = {
            "ready": ready,
            "state": whole["state"],
            "transports": whole["transports"],
            "workers": whole["workers"],
            "checks": checks,
        }
        return JSONResponse(body, 200 if ready else 503)
