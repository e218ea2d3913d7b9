"""The connections to one origin with one credential: opened when needed, reused, swept.

One timer for all of them replaces a timer for each request: every exchange carries its deadline,
and a sweep a few times a second ends what is overdue.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from mesh_gateway.delivery.connection import Connection, Exchange
from mesh_gateway.delivery.opening import Opener

LIFETIME = 60.0
"""Seconds after which a connection is not reused, so that a moved name is followed even under load."""

IDLE = 30.0
"""Seconds an unused connection is kept; shorter than the usual 60 s and more of servers and
balancers, so that it is us who close first and a request seldom meets a closing connection."""

SWEEP_SHARE = 100
"""A sweep every hundredth of the timeout, between 10 and 250 ms: deadlines are kept within 1 % or
a quarter of a second, and a sweep costs microseconds."""


class Pool:
    """Runs exchanges over at most `limit` connections; those beyond wait in order of arrival."""

    def __init__(
        self, host: str, port: int, *, limit: int, timeout: float, tls: ssl.SSLContext | None
    ) -> None:
        self._limit = limit
        self._interval = min(max(timeout / SWEEP_SHARE, 0.01), 0.25)
        self._opener = Opener(host, port, tls)
        self._free: list[Connection] = []
        self._connections: set[Connection] = set()
        self._opening: dict[asyncio.Task[None], Exchange] = {}
        self._waiting: deque[Exchange] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def now(self) -> float:
        """The clock of deadlines."""
        # Kept from the first call on: asking for the running loop asks the system for the process's id (0.5 µs).
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop.time()

    def start(self, exchange: Exchange) -> None:
        """Send on a free connection, open one, or wait for one."""
        if self._closed:
            asyncio.get_running_loop().call_soon(exchange.failed, exchange.context, "closed")
            return
        if self._free:
            self._free.pop().send(exchange)
        elif len(self._connections) + len(self._opening) < self._limit:
            self._open_for(exchange)
        else:
            self._waiting.append(exchange)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    async def close(self) -> None:
        """End every exchange as "closed" and close every connection."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, deque()
        opening = dict(self._opening)
        for task in opening:
            task.cancel()
        if opening:
            await asyncio.wait(opening)
        for exchange in waiting:
            exchange.failed(exchange.context, "closed")
        for connection in list(self._connections):
            if connection.exchange is None:
                connection.close()
            else:
                connection.expire("closed")

    # ── what connections report ──────────────────────────────────────────────────────────────

    def freed(self, connection: Connection) -> None:
        """As `Owner.freed`."""
        now = self.now()
        if now - connection.opened > LIFETIME:
            connection.close()
        elif self._waiting:
            connection.send(self._waiting.popleft())
        else:
            connection.idle_since = now
            self._free.append(connection)

    def gone(self, connection: Connection) -> None:
        """As `Owner.gone`."""
        self._connections.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        self._serve_waiting()

    def again(self, exchange: Exchange) -> None:
        """As `Owner.again`: on a fresh connection, for the other idle ones may be as dead."""
        if self._closed:
            exchange.failed(exchange.context, "closed")
        elif len(self._connections) + len(self._opening) < self._limit:
            self._open_for(exchange)
        else:
            self._waiting.appendleft(exchange)

    # ── opening ──────────────────────────────────────────────────────────────────────────────

    def _open_for(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(
            self._opener.open_for(exchange, self._made, self._ready)
        )
        self._opening[task] = exchange
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        exchange = self._opening.pop(task)
        if task.cancelled():
            exchange.failed(exchange.context, "closed")
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while (
            self._waiting and not self._closed and len(self._connections) + len(self._opening) < self._limit
        ):
            self._open_for(self._waiting.popleft())

    def _made(self) -> Connection:
        return Connection(self, self.now())

    def _ready(self, connection: Connection, exchange: Exchange) -> None:
        self._connections.add(connection)
        connection.send(exchange)

    # ── the sweep ────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.sweep(loop.time())
        busy = self._connections or self._waiting or self._opening
        self._timer = loop.call_later(self._interval, self._tick) if busy and not self._closed else None

    def sweep(self, now: float) -> None:
        """End what is overdue at `now`, and close connections that nobody has used."""
        for connection in list(self._connections):
            exchange = connection.exchange
            if exchange is None:
                if now - connection.idle_since > IDLE:
                    connection.close()
            elif exchange.deadline < now:
                connection.expire("timeout")
        while self._waiting and self._waiting[0].deadline < now:
            overdue = self._waiting.popleft()
            overdue.failed(overdue.context, "timeout")
