"""What can be seen of the gateway: health, metrics, version, status and each list of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mesh_gateway import __version__
from mesh_gateway.gateway.admin.gateway import Gateway, Served


class Status(ABC):
    """The handlers, one each: here those that are the same for one process and for several."""

    def __init__(self, served: Served) -> None:
        self._served = served

    @abstractmethod
    async def ready(self, request: Request) -> Response:
        """Events can be made durable now."""

    async def live(self, request: Request) -> Response:
        """The loop turns."""
        return PlainTextResponse("ok\n")

    async def started(self, request: Request) -> Response:
        """The first start is over."""
        started = self._served.state != "starting"
        return PlainTextResponse("ok\n" if started else "starting\n", 200 if started else 503)

    async def metrics(self, request: Request) -> Response:
        text = await self._served.metrics()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": __version__})

    async def status(self, request: Request) -> Response:
        return JSONResponse(await self._served.status())

    def noun(self, name: str) -> Callable[[Request], Any]:
        """One list of the status, by itself."""

        async def one(request: Request) -> Response:
            return JSONResponse({"items": (await self._served.status())[name]})

        return one


class ProcessStatus(Status):
    """Of one process."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self._gateway = gateway

    async def ready(self, request: Request) -> Response:
        """Events can be made durable now."""
        ready = self._gateway.ready
        if "verbose" in request.query_params:
            whole = await self._gateway.status()
            body = {
                "ready": ready,
                "state": whole["state"],
                "transports": whole["transports"],
                "checks": self._gateway.health(),
            }
            return JSONResponse(body, 200 if ready else 503)
        return PlainTextResponse("ok\n" if ready else f"{self._gateway.state}\n", 200 if ready else 503)
