"""The admin listener: its socket, and the server behind it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from mesh_gateway.gateway.addresses import CannotListen, address_of, cannot_listen, shown
from mesh_gateway.topology.spec import AdminSpec

BACKLOG = 64
"""Connections that the system holds until they are accepted: a person's, a scraper's and a probe's."""


class Admin:
    """The admin listener. `run` has one owner."""

    def __init__(self, application: Any) -> None:
        self.url = ""
        self._application = application
        self._spec: AdminSpec
        self._door: socket.socket
        self._server: Any = None

    def open(self, spec: AdminSpec) -> None:
        """Take the address. Raises `CannotListen`."""
        self._spec = spec
        family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
        door = self._door = socket.socket(family, socket.SOCK_STREAM)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((spec.host, spec.port))
            door.listen(BACKLOG)
        except OSError as error:
            door.close()
            raise CannotListen(cannot_listen(spec.host, spec.port, "--admin", error)) from error
        self.url = f"http://{shown(spec.host)}:{door.getsockname()[1]}"

    def take(self, spec: AdminSpec, door: socket.socket) -> None:
        """Use a socket that listens already."""
        self._spec = spec
        self._door = door

    def can_serve(self, spec: AdminSpec) -> bool:
        """Whether this listener can serve these documents without being opened anew."""
        return address_of(self._spec) == address_of(spec)

    async def run(self) -> None:
        """Serve until `stop`."""
        import uvicorn

        from mesh_gateway.gateway.admin.connection import AdminConnection

        config = uvicorn.Config(
            self._application,
            http=AdminConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        self._server = quiet_server(config)
        await self._server.serve(sockets=[self._door])

    def beside(self, spec: AdminSpec) -> Admin:
        """Another one for the same application. Raises `CannotListen`."""
        other = Admin(self._application)
        other.open(spec)
        return other

    def stop(self) -> None:
        """Answer what was asked, and end."""
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Give up an address that was taken and never served."""
        self._door.close()


def quiet_server(config: Any) -> Any:
    """A uvicorn server that leaves signals to the gateway."""
    import uvicorn

    class QuietServer(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return QuietServer(config)
