"""The data listener's socket, its connections, and the sweep that ends what is overdue."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.protocol import Connection

SWEEP_SECONDS = 0.25
"""Timeouts here are seconds; a quarter of one is exact enough, and a sweep over ten thousand
connections takes about a millisecond."""

BACKLOG = 1_024
"""Connections that the system holds until they are accepted: a burst of a tenth of `max_connections`."""


class Listener:
    """Serves one endpoint on one address. Opened once, drained once, closed once.

    For tests: `time` says when connections are due, instead of the loop's clock.
    """

    def __init__(self, endpoint: Endpoint, *, time: Callable[[], float] | None = None) -> None:
        self.endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop
        self._given_time = time
        self.time: Callable[[], float]
        """As `Home.time`. Not a method, which would be one call more for every request."""
        self._tls = False
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._answered = asyncio.Event()

    async def open(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
        doors: Sequence[socket.socket] = (),
        later: bool = False,
    ) -> int:
        """Listen; the port, which is chosen by the system when `port` is 0. Raises `OSError`.

        With `reuse_port` several processes listen on the same port and the system spreads
        connections over them. `doors` that another listener has handed over are used instead.
        `later`: only the address is taken, and nobody can connect before `begin`.
        """
        loop = self._loop = asyncio.get_running_loop()
        self.time = self._given_time or loop.time
        self._tls = tls is not None
        where: list[dict[str, Any]] = [{"host": host, "port": port, "reuse_port": reuse_port or None}]
        for one in [{"sock": door} for door in doors] or where:
            server = await loop.create_server(
                lambda: Connection(self),
                **one,
                ssl=tls,
                ssl_handshake_timeout=self.endpoint.limits.header_timeout if tls else None,
                backlog=BACKLOG,
                start_serving=not later,
            )
            self._servers.append(server)
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick)
        opened: int = self._servers[0].sockets[0].getsockname()[1]
        return opened

    async def begin(self) -> None:
        """Let clients connect, if they cannot yet."""
        for server in self._servers:
            await server.start_serving()

    def handed_over(self) -> list[socket.socket]:
        """The listening sockets once more, for another listener: both accept until this one is drained, and what the
        system has queued is lost by neither.
        """
        return [
            socket.socket(fileno=os.dup(door.fileno())) for server in self._servers for door in server.sockets
        ]

    async def drain(self, *, handed_over: bool = False) -> None:
        """Take no more connections or events; returns once every request that was read is answered.

        A connection is closed with its next answer, or when it has been idle for `DRAIN_SECONDS`; `closed` tells when
        all are. No answer takes longer than `publish_timeout`, and so does this. `handed_over`: another listener accepts
        what waits in the sockets.
        """
        self.endpoint.draining = True
        await self._stop_listening(handed_over=handed_over)
        for connection in list(self._connections):
            connection.drain()
        self._look_for_the_last()
        await self._answered.wait()

    async def _stop_listening(self, *, handed_over: bool) -> None:
        """Close the sockets, but none of the connections that wait in them: their clients have sent already.

        With TLS they have not: a client asks for nothing before the handshake is done.
        """
        waiting = [] if handed_over or self._tls else self.handed_over()
        for server in self._servers:
            server.close()
        for door in waiting:
            with door:
                door.settimeout(0)
                await self._take_what_waits(door)

    async def _take_what_waits(self, door: socket.socket) -> None:
        for _ in range(BACKLOG):  # however many still come
            try:
                accepted, _ = door.accept()
            except OSError:  # none, or it has gone meanwhile
                return
            accepted.settimeout(0)
            await self._loop.connect_accepted_socket(lambda: Connection(self), accepted)

    async def closed(self) -> None:
        """Returns when there is no connection; after `drain`, there will never be one again, and the last is gone
        a few seconds after its last request was answered.
        """
        await self._empty.wait()

    async def close(self) -> None:
        """Close every connection, answered or not, and stop sweeping. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._empty.wait()

    # ── what connections ask and report ──────────────────────────────────────────────────────

    def opened(self, connection: Connection) -> bool:
        """As `Home.opened`."""
        self._connections.add(connection)
        self._empty.clear()
        # A TLS handshake may end after `close`.
        return self._timer is not None and len(self._connections) <= self.endpoint.limits.max_connections

    def gone(self, connection: Connection) -> None:
        """As `Home.gone`."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        if self.endpoint.draining:
            self._look_for_the_last()

    # ── the sweep ────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        # First: no fault may end all deadlines.
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._tick)
        self.sweep(self._loop.time())

    def sweep(self, now: float) -> None:
        """End what is overdue at `now`: publishes without an answer, slow and idle connections."""
        for connection in [c for c in self._connections if c.deadline < now]:
            connection.expire()
        if self.endpoint.draining:
            self._look_for_the_last()

    def _look_for_the_last(self) -> None:
        """While draining: is any request still without its answer?"""
        if not any(connection.waits for connection in self._connections):
            self._answered.set()
