"""The resources of the admin API, each with its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesh_gateway.errors import TransportError, Unsupported
from mesh_gateway.gateway.admin.deadletters import DeadLetters
from mesh_gateway.gateway.admin.documents import Documents
from mesh_gateway.gateway.admin.gateway import Gateway
from mesh_gateway.gateway.admin.guard import Guard
from mesh_gateway.gateway.admin.requests import problem
from mesh_gateway.gateway.admin.status import ProcessStatus, Status
from mesh_gateway.gateway.admin.watch import Watch


class Letters(Protocol):
    """The handlers of dead letters, as `DeadLetters` has them."""

    async def rows(self, request: Request) -> Response: ...

    async def one(self, request: Request) -> Response: ...

    async def redrive(self, request: Request) -> Response: ...


@dataclass(frozen=True, slots=True)
class Resources:
    """Whose handlers answer."""

    status: Status
    letters: Letters
    watch: Callable[[Request], Awaitable[Response]]
    documents: Documents


def resources_of(gateway: Gateway) -> Resources:
    """Those of one process."""
    return Resources(ProcessStatus(gateway), DeadLetters(gateway), Watch(gateway).watch, Documents(gateway))


def application(resources: Resources, token: Callable[[], str | None]) -> Starlette:
    """The ASGI application of one gateway; `token` gives that of the moment."""
    status, letters, documents = resources.status, resources.letters, resources.documents
    routes = [
        Route("/livez", status.live),
        Route("/readyz", status.ready),
        Route("/startupz", status.started),
        Route("/metrics", status.metrics),
        Route("/version", status.version),
        Route("/api/v1/status", status.status),
        Route("/api/v1/transports", status.noun("transports")),
        Route("/api/v1/brokers", status.noun("brokers")),
        Route("/api/v1/triggers", status.noun("triggers")),
        Route("/api/v1/relays", status.noun("relays")),
        Route("/api/v1/dead-letters", letters.rows),
        Route("/api/v1/dead-letters/{namespace}/{broker}/redrive", letters.redrive, methods=["POST"]),
        Route("/api/v1/dead-letters/{namespace}/{broker}/{position}", letters.one),
        Route("/api/v1/watch", resources.watch),
        Route("/api/v1/reload", documents.reload, methods=["POST"]),
        Route("/api/v1/documents", documents.show, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token)],
        exception_handlers={
            HTTPException: lambda request, error: problem(error.status_code, error.detail),
            Unsupported: lambda request, error: problem(501, str(error)),
            TransportError: lambda request, error: problem(503, str(error)),
        },
    )
