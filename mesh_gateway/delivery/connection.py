"""One HTTP/1.1 connection to a subscriber: one exchange at a time, everything bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import httptools

MAX_HEAD_BYTES = 32_768
"""Of a response's headers: as many as the ingress takes of a request (`IngressLimits.max_headers_bytes`)."""

MAX_INTERIM = 16
"""1xx responses before the final one; a server that sends more is not going to answer."""


class Response:
    """What came back."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange:
    """One attempt on its way: what is sent, until when, and who is told."""

    __slots__ = ("answered", "body_limit", "context", "deadline", "failed", "request", "retried")

    def __init__(
        self,
        request: bytes,
        deadline: float,
        body_limit: int,
        context: Any,
        answered: Callable[[Any, Response], None],
        failed: Callable[[Any, str], None],
    ) -> None:
        self.request = request
        self.deadline = deadline
        self.body_limit = body_limit
        self.context = context
        self.answered = answered
        self.failed = failed
        self.retried = False


class Owner(Protocol):
    """The pool, as a connection sees it."""

    def freed(self, connection: Connection) -> None:
        """An exchange has ended and the connection can take another."""
        ...

    def gone(self, connection: Connection) -> None:
        """The connection is closed."""
        ...

    def again(self, exchange: Exchange) -> None:
        """A reused connection died before any byte of the response: one silent retry is due."""
        ...


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 for a pool. Callbacks only."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_ends_with_connection",
        "_fed",
        "_head_bytes",
        "_head_done",
        "_headers",
        "_interim",
        "_owner",
        "_parser",
        "_transport",
        "exchange",
        "idle_since",
        "opened",
        "used",
    )

    def __init__(self, owner: Owner, opened: float) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.opened = opened
        self.idle_since = opened
        self.used = 0
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._head_done = False
        self._ends_with_connection = True
        self._fed = False
        self._interim = 0

    def send(self, exchange: Exchange) -> None:
        """Begin an exchange on an idle connection."""
        self.exchange = exchange
        self.used += 1
        assert self._transport is not None
        self._transport.write(exchange.request)

    def expire(self, why: str) -> None:
        """End the exchange under way, and the connection with it."""
        self._fail(why)

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    # ── asyncio.Protocol ─────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport, by construction

    def data_received(self, data: bytes) -> None:
        if self.exchange is None:
            self._fail("bytes without a request")
            return
        self._fed = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("bad response")
            return
        if not self._head_done and self.exchange is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail("response headers too large")

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        exchange, self.exchange = self.exchange, None
        self._owner.gone(self)
        if exchange is None:
            return
        if self._head_done and self._ends_with_connection and error is None:
            exchange.answered(exchange.context, self._response())
        elif self.used > 1 and not self._fed and not exchange.retried:
            exchange.retried = True
            self._owner.again(exchange)
        else:
            exchange.failed(
                exchange.context, "connection reset" if error or not self._fed else "connection closed"
            )

    # ── httptools ────────────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if len(name) in (14, 17) and name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        self._head_done = True

    def on_body(self, body: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        self._body_bytes += len(body)
        if self._body_bytes > exchange.body_limit:
            self._fail("response body too large")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if self._parser.get_status_code() < 200:
            self._another_interim()
            return
        response = self._response()
        self.exchange = None
        reusable = self._parser.should_keep_alive()
        self._reset()
        if reusable:
            self._owner.freed(self)
        elif self._transport is not None:
            self._transport.close()
        exchange.answered(exchange.context, response)

    def _another_interim(self) -> None:
        interim = self._interim + 1
        self._reset()
        self._interim = interim
        if interim > MAX_INTERIM:
            self._fail("too many interim responses")

    def _response(self) -> Response:
        return Response(self._parser.get_status_code(), self._headers, b"".join(self._body))

    def _fail(self, why: str) -> None:
        exchange, self.exchange = self.exchange, None
        if self._transport is not None:
            self._transport.abort()
        if exchange is not None:
            exchange.failed(exchange.context, why)
