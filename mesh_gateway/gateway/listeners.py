"""The two listeners of a process: opened at the start, and opened anew by a reload before the old ones close.

The same port goes from the old listener to the new one with its socket, so that no connection is refused in between.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from mesh_gateway.gateway.addresses import CannotListen
from mesh_gateway.gateway.admin.listener import Admin
from mesh_gateway.gateway.ingress import Ingress, NoIngress
from mesh_gateway.gateway.parts import Parts, Placed, as_it_is
from mesh_gateway.gateway.supervise import Part, supervise
from mesh_gateway.ingress.limits import IngressCounters
from mesh_gateway.topology.spec import AdminSpec

if TYPE_CHECKING:
    from mesh_gateway.gateway.admin.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands: by itself, or as one of several workers on one port."""

    ingress: Literal["own", "shared", "none"] = "own"
    """`shared`: other processes listen on the same port, and this one begins to when it can store events. `none`: nobody
    can send to it."""
    patience: float = 0.0
    """Seconds more for its transports to connect, before clients may connect to it all the same: others serve meanwhile."""
    admin: socket.socket | None = None
    """A listening socket for the admin API, in place of the address that the documents name."""
    placed: Placed = as_it_is

    @property
    def alone(self) -> bool:
        """Whether it has nobody above it: signals and documents are its own."""
        return self.ingress == "own"


BY_ITSELF = Place()


@dataclass(slots=True)
class Opened:
    """Listeners that were opened for a change; None where the one of before goes on."""

    ingress: Ingress | None = None
    admin: Admin | None = None


class Listeners:
    """Both listeners of a process. Each method has one caller at a time; `change` is all at once."""

    def __init__(self, gateway: Gateway, counters: IngressCounters, place: Place = BY_ITSELF) -> None:
        self._gateway = gateway
        self._counters = counters
        self._place = place
        self._ingress: Ingress
        self._admin: Admin
        self._token: str | None = None
        self._stopped = asyncio.Event()
        self._tasks: asyncio.TaskGroup

    @property
    def urls(self) -> dict[str, str]:
        """Where each is reached."""
        return {"ingress": self._ingress.url, "admin": self._admin.url}

    async def open(self, parts: Parts) -> None:
        """Listen. Raises `CannotListen`."""
        opened = Opened()
        try:
            self._ingress = self._new_ingress()
            await self._ingress.open(parts)
            opened.ingress = self._ingress
            self._admin = self._new_admin(parts.spec.admin)
        except CannotListen:
            await self.forget(opened)
            raise

    def _new_ingress(self) -> Ingress:
        make = NoIngress if self._place.ingress == "none" else Ingress
        return make(self._counters, lambda: self._gateway.ready, shared=self._place.ingress == "shared")

    def _new_admin(self, spec: AdminSpec) -> Admin:
        from mesh_gateway.gateway.admin.application import application, resources_of

        self._token = None if spec.token is None else spec.token.value
        made = Admin(application(resources_of(self._gateway), lambda: self._token))
        if self._place.admin is None:
            made.open(spec)
        else:
            made.take(spec, self._place.admin)
        return made

    async def begin(self) -> None:
        """Let clients connect, where they cannot since `open`."""
        await self._ingress.begin()

    async def run(self) -> None:
        """Answer at the admin listener, also at one that takes its place, until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._admin.run())
            await self._stopped.wait()
            self._admin.stop()

    async def opened_for(self, parts: Parts) -> Opened:
        """What these parts need besides the listeners that are open. Raises `CannotListen`, with nothing left open."""
        opened = Opened()
        try:
            if not self._ingress.can_serve(parts.spec.ingress):
                ingress = self._new_ingress()
                await ingress.open(parts, self._ingress)
                opened.ingress = ingress
            if not self._admin.can_serve(parts.spec.admin):
                opened.admin = self._admin.beside(parts.spec.admin)
        except BaseException:
            await self.forget(opened)
            raise
        return opened

    def change(self, parts: Parts, opened: Opened) -> None:
        """Serve these parts. A listener that was replaced takes nothing new and closes when it has answered."""
        token = parts.spec.admin.token
        self._token = None if token is None else token.value
        if opened.ingress is None:
            self._ingress.serve(parts)
        else:
            old, self._ingress = self._ingress, opened.ingress
            same = old.is_at(parts.spec.ingress)
            closing = supervise(Part("replaced listener"), partial(_drained, old, handed_over=same))
            self._tasks.create_task(closing)
        if opened.admin is not None:
            self._admin.stop()
            self._admin = opened.admin
            self._tasks.create_task(self._admin.run())

    async def forget(self, opened: Opened) -> None:
        """What was opened is not needed."""
        if opened.ingress is not None:
            await opened.ingress.close()
        if opened.admin is not None:
            opened.admin.close()

    async def drain(self) -> None:
        """As `Listener.drain`."""
        await self._ingress.drain()

    async def closed(self) -> None:
        """As `Listener.closed`."""
        await self._ingress.closed()

    def stop(self) -> None:
        """End the admin listener; `run` returns."""
        self._stopped.set()

    async def close(self) -> None:
        """Close every connection of the ingress, answered or not."""
        await self._ingress.close()


async def _drained(old: Ingress, *, handed_over: bool) -> None:
    try:
        await old.drain(handed_over=handed_over)
        await old.closed()
    finally:
        await old.close()
