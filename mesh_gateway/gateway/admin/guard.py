"""Who may ask: whoever has the token, or nobody from elsewhere; and never a web page."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mesh_gateway.gateway.admin.requests import problem

OPEN_PATHS = frozenset({"/livez", "/readyz", "/startupz"})
"""Probes carry no secrets and ask for none."""


class Guard:
    """Refuses requests without the token, and those that changed something from a web page."""

    def __init__(self, app: ASGIApp, token: Callable[[], str | None]) -> None:
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
        return self._stranger(headers) or _no_json(scope["method"], headers)

    def _stranger(self, headers: Mapping[bytes, bytes]) -> Response | None:
        """The answer to who may not ask."""
        token = self._token()
        if token is None:
            host = headers.get(b"host", b"").decode("latin-1")
            if is_local(host):
                return None
            return problem(403, f"Host {host[:80]!r} is not an address of this listener")
        given = headers.get(b"authorization", b"")
        if hmac.compare_digest(given, b"Bearer " + token.encode()):
            return None
        refused = problem(401, "this gateway asks for a token: --token or MESH_GATEWAY_ADMIN_TOKEN")
        refused.headers["www-authenticate"] = "Bearer"
        return refused


def _no_json(method: str, headers: Mapping[bytes, bytes]) -> Response | None:
    """A web page can send forms and plain text to other sites without asking them; JSON it cannot."""
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if method != "POST" or media_type == b"application/json":
        return None
    return problem(415, "the admin API takes application/json")


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
