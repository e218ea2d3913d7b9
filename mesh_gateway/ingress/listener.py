"""The data listener's socket, its connections, and the sweep that ends what is overdue."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.protocol import Connection, Pending

SWEEP_SECONDS = 0.25
"""Timeouts here are seconds; a quarter of one is exact enough, and a sweep over ten thousand
connections takes a millisecond."""

BACKLOG = 1_024


class Listener:
    """Serves one endpoint on one address. Opened once, drained once, closed once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.now = 0.0
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._pending: deque[Pending] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    async def open(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> int:
        """Listen; the port, which is chosen by the system when `port` is 0. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, ssl=tls, reuse_port=reuse_port or None, backlog=BACKLOG
        )
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick)
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def drain(self) -> None:
        """Take no more connections or events; returns once every request that was read is answered."""
        self.endpoint.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        while any(pending.connection is not None for pending in self._pending):
            await asyncio.sleep(SWEEP_SECONDS / 10)

    async def close(self) -> None:
        """Close every connection and stop sweeping. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.abort()
        await self._empty.wait()

    # ── what connections report ──────────────────────────────────────────────────────────────

    def opened(self, connection: Connection) -> bool:
        """As `Home.opened`."""
        self._connections.add(connection)
        self._empty.clear()
        return len(self._connections) <= self.endpoint.limits.max_connections

    def closed(self, connection: Connection) -> None:
        """As `Home.closed`."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def waits(self, pending: Pending) -> None:
        """As `Home.waits`."""
        self._pending.append(pending)

    # ── the sweep ────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.sweep(loop.time())
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick)

    def sweep(self, now: float) -> None:
        """End what is overdue at `now`: publishes without an answer, slow and idle connections."""
        self.now = now
        oldest = now - self.endpoint.limits.publish_timeout
        pending = self._pending
        while pending and (pending[0].connection is None or pending[0].since < oldest):
            pending.popleft().expire()
        for connection in [c for c in self._connections if c.deadline < now]:
            connection.expire()
