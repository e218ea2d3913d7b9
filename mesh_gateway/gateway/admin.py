"""The admin listener: health, metrics, status, dead letters and watching, as JSON over HTTP.

One resource per noun under `/api/v1`. Errors are `application/problem+json`. With a token
configured everything but the health probes asks for `Authorization: Bearer`; without one the `Host`
of a request must be an address or localhost, so that no web page can reach it through DNS.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mesh_gateway import __version__
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import TransportError, Unsupported
from mesh_gateway.gateway import deadletters
from mesh_gateway.gateway.parts import BrokerParts, Parts
from mesh_gateway.transport.contract import Stored

OPEN_PATHS = frozenset({"/livez", "/readyz", "/startupz"})
"""Probes carry no secrets and ask for none."""

MAX_PAGE = 1_000
WATCH_SECONDS = 600.0
"""A watch nobody ends is ended after ten minutes."""


class Gateway(Protocol):
    """What the admin API needs of the running gateway."""

    watches: Watches
    state: str

    @property
    def parts(self) -> Parts: ...

    @property
    def ready(self) -> bool: ...

    async def status(self) -> dict[str, Any]: ...

    async def metrics(self) -> bytes: ...

    def health(self) -> list[dict[str, Any]]: ...


def application(gateway: Gateway, token: str | None) -> Starlette:
    """The ASGI application of one gateway."""
    api = Api(gateway)
    routes = [
        Route("/livez", api.live),
        Route("/readyz", api.ready),
        Route("/startupz", api.started),
        Route("/metrics", api.metrics),
        Route("/version", api.version),
        Route("/api/v1/status", api.status),
        Route("/api/v1/transports", api.noun("transports")),
        Route("/api/v1/brokers", api.noun("brokers")),
        Route("/api/v1/triggers", api.noun("triggers")),
        Route("/api/v1/relays", api.noun("relays")),
        Route("/api/v1/dead-letters", api.list_dead_letters),
        Route("/api/v1/dead-letters/{namespace}/{broker}/redrive", api.redrive, methods=["POST"]),
        Route("/api/v1/dead-letters/{namespace}/{broker}/{position}", api.show_dead_letter),
        Route("/api/v1/watch", api.watch),
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


def problem(status: int, detail: str) -> JSONResponse:
    """An RFC 9457 answer."""
    body = {"type": "about:blank", "title": "request failed", "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


class Guard:
    """Refuses requests without the token, and those that changed something from a web page."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = dict(scope["headers"])
        if b"origin" in headers:
            return problem(403, "the admin API is not for web pages (the request has an Origin)")
        if scope["path"] in OPEN_PATHS:
            return None
        if self._token is None:
            host = headers.get(b"host", b"").decode("latin-1")
            return (
                None
                if is_local(host)
                else problem(403, f"Host {host[:80]!r} is not an address of this listener")
            )
        given = headers.get(b"authorization", b"")
        if hmac.compare_digest(given, b"Bearer " + self._token.encode()):
            return None
        refused = problem(401, "this gateway asks for a token: --token or MESH_GATEWAY_ADMIN_TOKEN")
        refused.headers["www-authenticate"] = "Bearer"
        return refused


def is_local(host: str) -> bool:
    """Whether a Host header names an address or localhost, and not a name that DNS could point here."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Api:
    """The handlers, one each."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def live(self, request: Request) -> Response:
        """The loop turns."""
        return PlainTextResponse("ok\n")

    async def started(self, request: Request) -> Response:
        """The first start is over."""
        started = self._gateway.state != "starting"
        return PlainTextResponse("ok\n" if started else "starting\n", 200 if started else 503)

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

    async def metrics(self, request: Request) -> Response:
        text = await self._gateway.metrics()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": __version__})

    async def status(self, request: Request) -> Response:
        return JSONResponse(await self._gateway.status())

    def noun(self, name: str) -> Callable[[Request], Any]:
        """One list of the status, by itself."""

        async def one(request: Request) -> Response:
            return JSONResponse({"items": (await self._gateway.status())[name]})

        return one

    async def list_dead_letters(self, request: Request) -> Response:
        """Rows of one broker, or of all; `next` continues one broker's list."""
        limit = _number(request.query_params.get("limit"), default=100, most=MAX_PAGE)
        named = request.query_params.get("broker")
        after = request.query_params.get("after")
        homes = [self._home(named)] if named else list(self._gateway.parts.brokers.values())
        items: list[dict[str, Any]] = []
        following = None
        for home in homes:
            letters = await _page(home, after, limit - len(items))
            items += [deadletters.row(home.spec.key, letter) for letter in letters]
            following = letters[-1].position if letters else None
            if len(items) >= limit:
                break
        more = following if named and len(items) >= limit else None
        return JSONResponse({"items": items, "next": more})

    async def show_dead_letter(self, request: Request) -> Response:
        home = self._home_in_path(request)
        position = request.path_params["position"]
        letter = await deadletters.at(home, position)
        if letter is None:
            raise HTTPException(404, f"{home.spec.key} has no dead letter at position {position}")
        return JSONResponse(deadletters.document(home.spec.key, letter))

    async def redrive(self, request: Request) -> Response:
        home = self._home_in_path(request)
        wanted = await _json_object(request)
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
        return JSONResponse(result.document())

    async def watch(self, request: Request) -> Response:
        """Facts about one event, one JSON object a line, until its last copy has ended."""
        query = request.query_params
        home = self._home(query.get("broker"))
        source, id = query.get("source"), query.get("id")
        if not source or not id:
            raise HTTPException(400, "watch needs broker, source and id")
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
        finally:
            self._gateway.watches.close(broker, source, id)

    def _home_in_path(self, request: Request) -> BrokerParts:
        return self._home(f"{request.path_params['namespace']}/{request.path_params['broker']}")

    def _home(self, name: str | None) -> BrokerParts:
        home = self._gateway.parts.brokers.get(name or "")
        if home is None:
            known = ", ".join(self._gateway.parts.brokers) or "none"
            raise HTTPException(404, f"no broker {name!r} here; there are: {known}")
        return home


def _line(fact: Mapping[str, Any]) -> str:
    return json.dumps(fact) + "\n"


def _number(text: str | None, *, default: int, most: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise HTTPException(400, f"limit={text!r}: a whole number from 1 to {most}")
    return int(text)


async def _page(home: BrokerParts, after: str | None, limit: int) -> Sequence[Stored]:
    """A page of dead letters; a position that the transport cannot read is the caller's mistake."""
    try:
        return await deadletters.page(home, after=after, limit=limit)
    except Unsupported as error:
        if after is None:
            raise
        raise HTTPException(400, f"after={after!r} is not a position: {error}") from error


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body
