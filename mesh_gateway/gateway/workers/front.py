"""What the parent has towards the outside: the port that the workers share, which it only holds, and the admin listener."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable
from typing import Any

from mesh_gateway.gateway.addresses import CannotListen, address_of, cannot_listen, shown
from mesh_gateway.gateway.admin.listener import Admin
from mesh_gateway.topology.spec import GatewaySpec, IngressSpec

ORPHANS_SECONDS = 3.0
"""Workers whose parent was killed end as soon as their loops turn; until then they are on the port that is wanted again."""

AGAIN_SECONDS = 0.05


class Port:
    """The address of the ingress, taken and not listened on: the system gives connections to the workers alone.

    It makes that port 0 is one port for all, and that a port of somebody else is an error at the start. Any
    process of this user could still join by SO_REUSEPORT; another gateway does not, because it asks first.
    """

    def __init__(self, spec: IngressSpec, sockets: list[socket.socket]) -> None:
        self._spec = spec
        self._sockets = sockets
        self.number: int = sockets[0].getsockname()[1]

    @classmethod
    async def taken(cls, spec: IngressSpec) -> Port:
        """Raises `CannotListen`."""
        until = time.monotonic() + ORPHANS_SECONDS
        while True:
            try:
                return cls(spec, _bound(spec.host, spec.port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    raise CannotListen(cannot_listen(spec.host, spec.port, "--ingress", error)) from error
            await asyncio.sleep(AGAIN_SECONDS)

    @property
    def url(self) -> str:
        """Where the workers are reached."""
        return f"{'https' if self._spec.tls else 'http'}://{shown(self._spec.host)}:{self.number}"

    def serves(self, spec: IngressSpec) -> bool:
        """Whether it is the address of these documents."""
        return address_of(self._spec) == address_of(spec)

    def close(self) -> None:
        """Give it up."""
        for one in self._sockets:
            one.close()


def _bound(host: str, port: int) -> list[socket.socket]:
    """One socket for each address of the host, all on one port. Raises `OSError`."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as taken:
        sockets: list[socket.socket] = []
        for family, _, _, _, address in dict.fromkeys(found):
            where = (address[0], port, *address[2:])
            with _socket(family) as probe:
                probe.bind(
                    where
                )  # fails while anybody is there; below, only who does not share is in the way
                where = (address[0], probe.getsockname()[1], *address[2:])
            one = taken.enter_context(_socket(family))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(where)
            port = where[1]
            sockets.append(one)
        taken.pop_all()
    return sockets


def _socket(family: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return one


class Front:
    """Port and admin listener of the parent. `open` and `run` have one owner; `change` is all at once."""

    def __init__(self, application: Callable[[Callable[[], str | None]], Any]) -> None:
        """`application` is made with what gives the token of the moment."""
        self._application = application
        self._token: str | None = None
        self._stopped = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._admin: Admin
        self.port: Port

    @property
    def urls(self) -> dict[str, str]:
        """Where each is reached."""
        return {"ingress": self.port.url, "admin": self._admin.url}

    async def open(self, spec: GatewaySpec) -> None:
        """Take both addresses. Raises `CannotListen`."""
        self.port = await Port.taken(spec.ingress)
        self._use_token_of(spec)
        self._admin = Admin(self._application(lambda: self._token))
        try:
            self._admin.open(spec.admin)
        except CannotListen:
            self.port.close()
            raise

    async def run(self) -> None:
        """Answer at the admin listener, also at one that takes its place, until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._admin.run())
            await self._stopped.wait()
            self._admin.stop()

    async def opened_for(self, spec: GatewaySpec) -> tuple[Port | None, Admin | None]:
        """What these documents need besides what is open. Raises `CannotListen`, with nothing left open."""
        port = None if self.port.serves(spec.ingress) else await Port.taken(spec.ingress)
        try:
            admin = None if self._admin.can_serve(spec.admin) else self._admin.beside(spec.admin)
        except CannotListen:
            if port is not None:
                port.close()
            raise
        return port, admin

    def change(self, spec: GatewaySpec, port: Port | None, admin: Admin | None) -> None:
        """Go over to what was opened."""
        self._use_token_of(spec)
        if port is not None:
            self.port.close()
            self.port = port
        if admin is not None:
            self._admin.stop()
            self._admin = admin
            self._tasks.create_task(admin.run())

    def _use_token_of(self, spec: GatewaySpec) -> None:
        self._token = None if spec.admin.token is None else spec.admin.token.value

    def stop(self) -> None:
        """End the admin listener; `run` returns."""
        self._stopped.set()

    def close(self) -> None:
        """Give the port up."""
        self.port.close()
