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

FRAME_SHARE = 16
"""Bytes that a response may have for each byte of its body, besides `MAX_HEAD_BYTES` twice: for head and trailers. A chunk
of one byte has six; extensions and trailers without end would be collected by the parser until the deadline."""

MAX_PIECES = 8_192
"""Pieces that a body may come in: chunks, above all. Each costs a microsecond, however short it is; a megabyte in chunks of two bytes
took half a second for one attempt, in which nobody else was served. The largest
reply may still come in pieces of 128 bytes."""


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
    """Speaks HTTP/1.1 for a pool. Callbacks only.

    A response is handed on once the parser has returned, not while it is inside the same bytes: what a server sends
    behind its response is never taken for the answer to the next request, and ends the connection.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_ends_with_connection",
        "_fed",
        "_head_done",
        "_headers",
        "_interim",
        "_owner",
        "_parser",
        "_pieces",
        "_received",
        "_reusable",
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
        self._body = bytearray()
        self._pieces = 0
        self._received = 0
        self._head_done = False
        self._ends_with_connection = True
        self._fed = False
        self._interim = 0
        self._complete: Response | None = None
        self._reusable = False

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
        # A name of its own: feeding may end it, and compiled code believes what it was told once.
        exchange = self.exchange
        if exchange is None:
            self._fail("bytes without a request")
            return
        self._fed = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._complete is None:
                self._fail("bad response")
                return
        if self._complete is not None:
            self._end(self._complete)
        elif self.exchange is not None:
            self._received += len(data)
            self._check_received()

    def _check_received(self) -> None:
        if not self._head_done:
            if self._received > MAX_HEAD_BYTES:
                self._fail("response headers too large")
        elif self._received > 2 * MAX_HEAD_BYTES + FRAME_SHARE * len(self._body):
            self._fail("response has more frame than body")

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

    def on_message_begin(self) -> None:
        self._reusable = False  # behind a complete response something came that nobody has asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return  # a trailer, or behind the response: nobody reads it
        self._headers.append((name, value))
        if len(name) in (14, 17) and name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        self._head_done = True

    def on_body(self, body: bytes) -> None:
        exchange = self.exchange
        if exchange is None or self._complete is not None:
            return
        self._pieces += 1
        if len(self._body) + len(body) > exchange.body_limit:
            self._fail("response body too large")
        elif self._pieces > MAX_PIECES:
            self._fail("response body in too many pieces")
        else:
            self._body += body

    def on_message_complete(self) -> None:
        if self.exchange is None or self._complete is not None:
            return
        if self._parser.get_status_code() < 200:
            self._another_interim()
        else:
            self._complete = self._response()
            self._reusable = self._parser.should_keep_alive()

    def _end(self, response: Response) -> None:
        """Hand on the complete response; keep the connection if nothing came behind it."""
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        reusable = self._reusable
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
        return Response(self._parser.get_status_code(), self._headers, bytes(self._body))

    def _fail(self, why: str) -> None:
        exchange, self.exchange = self.exchange, None
        if self._transport is not None:
            self._transport.abort()
        if exchange is not None:
            exchange.failed(exchange.context, why)
