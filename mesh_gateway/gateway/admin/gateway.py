"""What the admin API needs of the running gateway, whether it is one process or several."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mesh_gateway.delivery.watch import Watches
from mesh_gateway.gateway.parts import BrokerParts, Parts
from mesh_gateway.gateway.reload import Reloader
from mesh_gateway.topology.spec import GatewaySpec


class Served(Protocol):
    """What it needs of any gateway."""

    spec: GatewaySpec
    state: str

    async def status(self) -> dict[str, Any]: ...

    async def metrics(self) -> bytes: ...

    @property
    def reloader(self) -> Reloader: ...

    @property
    def options(self) -> Collection[str]: ...


class Gateway(Served, Protocol):
    """What it needs of one process, which answers for its own parts."""

    watches: Watches

    @property
    def parts(self) -> Parts: ...

    @property
    def ready(self) -> bool: ...

    def health(self) -> list[dict[str, Any]]: ...


def home_in_path(gateway: Gateway, request: Request) -> BrokerParts:
    """The broker that the path names. Raises a 404."""
    return home_of(gateway, name_in_path(request))


def home_of(gateway: Gateway, name: str | None) -> BrokerParts:
    """The broker `namespace/name`. Raises a 404 that says which there are."""
    home = gateway.parts.brokers.get(name or "")
    if home is None:
        raise not_here(name, gateway.parts.brokers)
    return home


def name_in_path(request: Request) -> str:
    """Of the broker that the path names, `namespace/name`."""
    return f"{request.path_params['namespace']}/{request.path_params['broker']}"


def not_here(name: str | None, brokers: Collection[str]) -> HTTPException:
    """A 404 that says which there are."""
    known = ", ".join(brokers) or "none"
    return HTTPException(404, f"no broker {(name or '')[:130]!r} here; there are: {known}")
