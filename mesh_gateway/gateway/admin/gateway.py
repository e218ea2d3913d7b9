"""What the admin API needs of the running gateway."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mesh_gateway.delivery.watch import Watches
from mesh_gateway.gateway.parts import BrokerParts, Parts
from mesh_gateway.gateway.reload import Reloader


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

    @property
    def reloader(self) -> Reloader: ...

    @property
    def options(self) -> Collection[str]: ...


def home_in_path(gateway: Gateway, request: Request) -> BrokerParts:
    """The broker that the path names. Raises a 404."""
    return home_of(gateway, f"{request.path_params['namespace']}/{request.path_params['broker']}")


def home_of(gateway: Gateway, name: str | None) -> BrokerParts:
    """The broker `namespace/name`. Raises a 404 that says which there are."""
    home = gateway.parts.brokers.get(name or "")
    if home is None:
        known = ", ".join(gateway.parts.brokers) or "none"
        raise HTTPException(404, f"no broker {(name or '')[:130]!r} here; there are: {known}")
    return home
