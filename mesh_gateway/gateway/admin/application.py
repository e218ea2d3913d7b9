"""The resources of the admin API, each with its handler."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from mesh_gateway.errors import TransportError, Unsupported
from mesh_gateway.gateway.admin.deadletters import DeadLetters
from mesh_gateway.gateway.admin.documents import Documents
from mesh_gateway.gateway.admin.gateway import Gateway
from mesh_gateway.gateway.admin.guard import Guard
from mesh_gateway.gateway.admin.requests import problem
from mesh_gateway.gateway.admin.status import Status
from mesh_gateway.gateway.admin.watch import Watch


def application(gateway: Gateway, token: Callable[[], str | None]) -> Starlette:
    """The ASGI application of one gateway; `token` gives that of the moment."""
    status, documents = Status(gateway), Documents(gateway)
    letters, watch = DeadLetters(gateway), Watch(gateway)
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
        Route("/api/v1/watch", watch.watch),
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
