"""The data listener's socket, its connections, and the sweep that ends what is overdue."""

from __future__ import annotations

import asyncio
import ssl

from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.protocol import Connection

SWEEP_SECONDS = 0.25
"""Timeouts here are seconds; a quarter of one is exact enough, and a sweep over ten thousand
connections takes about a millisecond."""

BACKLOG = 1_024
"""Connections that the system holds until they are accepted: a burst of a tenth of `max_connections`."""


class Listener:
    """Serves one endpoint on one address. Opened once, drained once, closed once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._answered = asyncio.Event()

    async def open(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> int:
        """Listen; the port, which is chosen by the system when `port` is 0. Raises `OSError`.

        With `reuse_port` several processes listen on the same port and the system spreads
        connections over them.
        """
        loop = self._loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=self.endpoint.limits.header_timeout if tls else None,
            reuse_port=reuse_port or None,
            backlog=BACKLOG,
        )
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick)
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def drain(self) -> None:
        """Take no more connections or events; returns once every request that was read is answered.

        Idle connections are closed, others with their next answer. No answer takes longer than
        `publish_timeout`, and so does this.
        """
        self.endpoint.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        self._look_for_the_last()
        await self._answered.wait()

    async def closed(self) -> None:
        """Returns when there is no connection; after `drain`, there will never be one again."""
        await self._empty.wait()

    async def close(self) -> None:
        """Close every connection, answered or not, and stop sweeping. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._empty.wait()

    # ── what connections ask and report ──────────────────────────────────────────────────────

    def time(self) -> float:
        """As `Home.time`."""
        return self._loop.time()

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
        self.sweep(self._loop.time())
        self._timer = self._loop.call_later(SWEEP_SECONDS, self._tick)

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
