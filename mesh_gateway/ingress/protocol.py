"""One connection to the data listener: bytes to requests, answers in the order of requests.

    head ─▶ body ─▶ waiting for durability ─▶ answer ─▶ head …

While a request waits, reading is paused and what was already read stays in the buffer; so a
connection holds at most one request, and pipelined requests are answered in order. Callbacks only:
no request has a task, a future or a timer of its own.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from mesh_gateway.errors import MeshError, UnsupportedMediaType
from mesh_gateway.ingress.endpoint import REROUTE, Accepting, Endpoint
from mesh_gateway.ingress.framing import Chunks, Head, Malformed, read_head
from mesh_gateway.ingress.responses import (
    ACCEPTED,
    ACCEPTED_AND_CLOSE,
    CONTINUE,
    Answer,
    render,
    unavailable,
)

FOREVER = float("inf")

_HEAD, _BODY, _CHUNKED, _WAITING, _CLOSED = range(5)


class Home(Protocol):
    """The listener, as a connection sees it."""

    endpoint: Endpoint
    now: float
    """Loop time of the latest sweep; deadlines need no better."""

    def opened(self, connection: Connection) -> bool:
        """A connection has come; False when there are too many."""
        ...

    def closed(self, connection: Connection) -> None: ...

    def waits(self, pending: Pending) -> None:
        """A request waits for durability from now on."""
        ...


class Pending:
    """A request that waits for durability; what the broker calls when it knows."""

    __slots__ = ("connection", "count", "endpoint", "since", "size")

    def __init__(self, connection: Connection, endpoint: Endpoint, size: int, since: float) -> None:
        self.connection: Connection | None = connection
        self.endpoint = endpoint
        self.size = size
        self.since = since
        self.count = 1

    def __call__(self, error: MeshError | None) -> None:
        self.endpoint.in_hand.give_back(self.size)
        connection, self.connection = self.connection, None
        if connection is None:
            if error is None:
                self.endpoint.counters.late += 1
        elif error is None:
            self.endpoint.counters.accepted += self.count
            connection.accepted()
        else:
            connection.refused(self.endpoint.failure(error))

    def expire(self) -> None:
        """The producer has waited long enough; the outcome stays unknown to it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.refused(
                unavailable("the store did not answer in time; the event may be stored", reason="timeout")
            )


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one producer."""

    __slots__ = (
        "_body",
        "_broker",
        "_buffer",
        "_chunks",
        "_endpoint",
        "_have",
        "_head",
        "_home",
        "_pending",
        "_state",
        "_transport",
        "_writable",
        "deadline",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._endpoint = home.endpoint
        self._transport: asyncio.Transport
        self._state = _HEAD
        self._buffer = b""
        self._head: Head
        self._broker: Accepting
        self._chunks: Chunks
        self._body: list[bytes] = []
        self._have = 0
        self._pending: Pending | None = None
        self._writable = True
        self.deadline = FOREVER

    # ── asyncio.Protocol ─────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport, by construction
        if not self._home.opened(self):
            self._answer(unavailable("too many connections", reason="connections", close=True))
            return
        self.deadline = self._home.now + self._endpoint.limits.idle_timeout

    def connection_lost(self, error: Exception | None) -> None:
        self._state = _CLOSED
        self.deadline = FOREVER
        self._buffer = b""
        pending, self._pending = self._pending, None
        if pending is not None:
            # The publish goes on; only its answer has nobody to go to.
            pending.connection = None
            self._endpoint.counters.abandoned += 1
        self._home.closed(self)

    def eof_received(self) -> bool:
        # A client may close its side and wait for the answer; without a request there is nothing to wait for.
        return self._state == _WAITING

    def pause_writing(self) -> None:
        self._writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable = True
        if self._state != _WAITING:
            self._transport.resume_reading()
            self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._state == _WAITING:
            self._buffer += data
            self._transport.pause_reading()
            return
        if self._state == _HEAD:
            if not self._buffer:
                self.deadline = self._home.now + self._endpoint.limits.header_timeout
            self._buffer = self._buffer + data if self._buffer else data
        else:
            self._buffer += data
        self._go_on()

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _go_on(self) -> None:
        """Make of the buffer whatever it holds: heads, bodies, several requests."""
        try:
            while self._buffer and self._writable:
                if self._state == _HEAD:
                    more = self._read_head()
                elif self._state == _BODY:
                    more = self._read_body()
                elif self._state == _CHUNKED:
                    more = self._read_chunks()
                else:
                    return
                if not more:
                    return
        except Malformed as error:
            self._answer(error.answer)

    def _read_head(self) -> bool:
        buffer = self._buffer
        if buffer[:2] == b"\r\n":
            buffer = self._buffer = buffer[2:]  # one empty line before a request is tolerated (RFC 9112, 2.2)
        end = buffer.find(b"\r\n\r\n")
        limit = self._endpoint.limits.max_headers_bytes
        if end < 0 or end > limit:
            if len(buffer) > limit:
                raise Malformed(431, "headers", f"the head is over {limit} bytes")
            if b"\n" in buffer and (b"\n\n" in buffer or buffer.count(b"\n") != buffer.count(b"\r\n")):
                raise Malformed(400, "framing", "a line of the head does not end with CR LF")
            return False
        head = read_head(buffer[: end + 4], self._endpoint.limits)
        self._buffer = buffer[end + 4 :]
        return self._begin(head)

    def _begin(self, head: Head) -> bool:
        """A head is complete: route it, then read its body."""
        self._head = head
        broker = self._endpoint.route(head)
        if broker is REROUTE:
            broker = self._endpoint.route(head)
        if isinstance(broker, Answer):
            return self._refuse_unread(broker)
        self._broker = broker
        if head.chunked:
            self._chunks = Chunks(self._endpoint.body_limit(head))
            self._state = _CHUNKED
        elif not head.length:
            return self._dispatch(b"")
        elif len(self._buffer) >= head.length:
            return self._complete()
        else:
            self._state = _BODY
            self._body = []
            self._have = 0
        self.deadline = self._home.now + self._endpoint.limits.body_timeout
        if b"expect" in head.fields and not self._buffer:
            self._transport.write(CONTINUE)
        return True

    def _complete(self) -> bool:
        """The whole body came with its head: the usual case."""
        length = self._head.length
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return self._dispatch(body)

    def _read_body(self) -> bool:
        missing = self._head.length - self._have
        taken, self._buffer = self._buffer[:missing], self._buffer[missing:]
        self._body.append(taken)
        self._have += len(taken)
        if self._have < self._head.length:
            return False
        body = b"".join(self._body)
        self._body = []
        return self._dispatch(body)

    def _read_chunks(self) -> bool:
        self._buffer, complete = self._chunks.feed(self._buffer)
        return self._dispatch(b"".join(self._chunks.parts)) if complete else False

    def _refuse_unread(self, answer: Answer) -> bool:
        """Answer before the body is read; keep the connection only if the body is there to be skipped."""
        head = self._head
        if head.chunked or len(self._buffer) < head.length:
            self._answer(answer, close=True)
            return False
        self._buffer = self._buffer[head.length :]
        return self._answer(answer)

    # ── answering ────────────────────────────────────────────────────────────────────────────

    def _dispatch(self, body: bytes) -> bool:
        """The request is complete: decode it and wait until it is durable."""
        home = self._home
        endpoint = self._endpoint
        pending = Pending(self, endpoint, len(body), home.now)
        self._state = _WAITING
        self.deadline = FOREVER
        endpoint.in_hand.take(len(body))
        try:
            answer = endpoint.accept(self._broker, self._head, body, pending)
        except UnsupportedMediaType as error:
            answer = Answer(415, "media type", str(error))
        if isinstance(answer, int):
            pending.count = answer
            self._pending = pending
            home.waits(pending)
            return False
        endpoint.in_hand.give_back(pending.size)
        return self._answer(answer)

    def accepted(self) -> None:
        """The events are durable."""
        self._pending = None
        self._endpoint.counters.answer(202)
        if self._head.keep_alive and not self._endpoint.draining:
            self._transport.write(ACCEPTED)
            self._next()
            if self._buffer:
                self._go_on()
        else:
            self._transport.write(ACCEPTED_AND_CLOSE)
            self._close()

    def refused(self, answer: Answer) -> None:
        """The events are not known to be durable."""
        self._pending = None
        if self._answer(answer):
            self._go_on()

    def _answer(self, answer: Answer, *, close: bool = False) -> bool:
        """Write an answer; whether the connection stays for another request."""
        counters = self._endpoint.counters
        if answer.reason:
            counters.refuse(answer.status, answer.reason)
        else:
            counters.answer(answer.status)
        close = close or answer.close or self._endpoint.draining or not self._keeps_alive()
        self._transport.write(render(answer, close=close))
        if close:
            self._close()
            return False
        self._next()
        return True

    def _keeps_alive(self) -> bool:
        head = getattr(self, "_head", None)
        return head is not None and head.keep_alive

    def _next(self) -> None:
        """Ready for another request."""
        self._state = _HEAD
        limits = self._endpoint.limits
        self.deadline = self._home.now + (limits.header_timeout if self._buffer else limits.idle_timeout)
        if self._writable:
            self._transport.resume_reading()

    def _close(self) -> None:
        self._state = _CLOSED
        self._buffer = b""
        self._transport.close()

    # ── what the listener asks for ───────────────────────────────────────────────────────────

    def expire(self) -> None:
        """Its deadline has passed: answer 408 to a half request, and close."""
        if self._state == _HEAD and not self._buffer:
            self._close()
        else:
            self._answer(Answer(408, "slow", "the request did not arrive in time", close=True))

    def drain(self) -> None:
        """The gateway stops: an idle connection has nothing to wait for."""
        if self._state == _HEAD and not self._buffer:
            self._close()

    def abort(self) -> None:
        """Give up the connection at once."""
        self._transport.abort()
