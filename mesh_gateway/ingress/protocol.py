"""One connection to the data listener: bytes to requests, answers in the order of requests.

    head ─▶ body ─▶ waiting for durability ─▶ answer ─▶ head …

While a request waits, reading is paused and what was already read stays in the buffer as bytes; so
a connection holds at most one request, and pipelined requests are answered in order. Callbacks
only: no request has a task, a future or a timer of its own.

A last answer would be lost if the socket were closed at once while the client still sends: the system
then resets the connection, and the client's unread answer goes with it. So after a last answer our
side is closed, and what still comes is read and thrown away for a short while.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from mesh_gateway import native
from mesh_gateway.errors import MeshError
from mesh_gateway.ingress.bodies import ChunkedBody, SizedBody
from mesh_gateway.ingress.endpoint import FULL, STOPPING, Accepting, Endpoint, not_stored
from mesh_gateway.ingress.framing import Head, Malformed, check_start, read_head
from mesh_gateway.ingress.peers import certificate_names
from mesh_gateway.ingress.responses import (
    ACCEPTED,
    ACCEPTED_AND_CLOSE,
    CONTINUE,
    Answer,
    render,
    unavailable,
)

if TYPE_CHECKING:
    from mesh_gateway_native.requests import PlainHead

plain_head = native.PARTS.plain_head
"""The usual request's head, read by a native part; None where there is none."""

LINGER_SECONDS = 2.0
"""How long a client may go on sending after it was refused: a round trip, generously. Also how long
a client may take to read its last answer."""

DRAIN_SECONDS = 1.0
"""How long a client may still use its connection once the gateway stops. Who does is answered, and told to close it; a
close that crosses a request would leave that without an answer. Busy clients send several times a second."""

_IDLE, _HEAD, _BODY, _WAITING, _LINGERING, _CLOSED = range(6)

_LATE = unavailable(
    "the store did not answer in time; the event may be stored, send it again", reason="timeout"
)
_SLOW = Answer(408, "slow", "the request did not arrive in time", close=True)
_CROWDED = unavailable("too many connections; close some, or send again", reason="connections", close=True)


class Home(Protocol):
    """The listener, as a connection sees it."""

    endpoint: Endpoint

    def time(self) -> float:
        """The loop's clock."""
        ...

    def opened(self, connection: Connection) -> bool:
        """A connection has come; False when there are too many."""
        ...

    def gone(self, connection: Connection) -> None:
        """It is gone."""
        ...


class Pending:
    """A request that waits for durability: what the broker calls, once, when it knows.

    It outlives its connection: the publish goes on when the client has left or was told 503.
    """

    __slots__ = ("_endpoint", "_size", "connection", "count")

    def __init__(self, connection: Connection, endpoint: Endpoint, size: int) -> None:
        self.connection: Connection | None = connection
        self.count = 0
        self._endpoint = endpoint
        self._size = size

    def __call__(self, error: MeshError | None) -> None:
        endpoint = self._endpoint
        connection = self._ended()
        if connection is None:
            if error is None:
                endpoint.counters.late += 1
        elif error is None:
            endpoint.counters.accepted += self.count
            connection.accepted()
        else:
            connection.answered(not_stored(error))

    def answered(self, answer: Answer) -> None:
        """The same for a transfer, which has an answer of its own."""
        connection = self._ended()
        if connection is not None:
            connection.answered(answer)
        elif answer.status == 200:
            self._endpoint.counters.late += 1

    def _ended(self) -> Connection | None:
        self._endpoint.in_hand.finish(self._size)
        connection, self.connection = self.connection, None
        return connection


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one producer."""

    __slots__ = (
        "_at",
        "_body",
        "_broker",
        "_buffer",
        "_ended",
        "_endpoint",
        "_head",
        "_held",
        "_home",
        "_names",
        "_paused",
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
        self._state = _IDLE
        self._buffer = b""
        self._at = 0
        """Where in the buffer the next unread byte is."""
        self._head: Head | PlainHead | None = None
        self._broker: Accepting
        self._body: SizedBody | ChunkedBody | None = None
        self._held = 0
        """Bytes of an unfinished body, counted in `Endpoint.in_hand`."""
        self._pending: Pending | None = None
        self._paused = False
        self._writable = True
        self._names: frozenset[str] = frozenset()
        """Those of the client's certificate, if it showed one."""
        self._ended = False
        """The client has closed its side: what is in the buffer is all there will be."""
        self.deadline = 0.0
        """When `expire` is due, on the loop's clock."""

    # ── asyncio.Protocol ─────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport, by construction
        # Not before: between being accepted and coming here the gateway may begin to stop, and `drain` knows only those that came.
        self._wait_for_client(self._endpoint.limits.idle_timeout)
        self._names = certificate_names(transport.get_extra_info("peercert"))
        if not self._home.opened(self):
            self._endpoint.counters.refuse(_CROWDED.status, _CROWDED.reason)
            self._transport.write(render(_CROWDED, close=True))
            self._close()

    def connection_lost(self, error: Exception | None) -> None:
        self._state = _CLOSED
        self._buffer = b""
        self._let_go()
        pending, self._pending = self._pending, None
        if pending is not None:
            # The publish goes on; only its answer has nobody to go to.
            pending.connection = None
            if not self._ended:
                self._endpoint.counters.abandoned += 1
        self._home.gone(self)

    def eof_received(self) -> bool:
        self._ended = True
        if self._state != _WAITING:
            return False
        # Most clients have left; some only say that this was all and still read (RFC 9112, 9.6). The two
        # look alike, so the answer is written in any case. TLS cannot be half closed.
        self._endpoint.counters.abandoned += 1
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client does not read its answers, so it gets no more of them."""
        self._writable = False
        self._pause()

    def resume_writing(self) -> None:
        self._writable = True
        if self._state != _WAITING:
            self._resume()
            self._go_on()

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state >= _LINGERING:
            return
        self._buffer = self._buffer[self._at :] + data if self._buffer else data
        self._at = 0
        if state == _WAITING:
            self._pause()
        else:
            self._go_on()

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _go_on(self) -> None:
        """Make of the buffer whatever it holds: heads, bodies, several requests."""
        try:
            while self._at < len(self._buffer) and self._writable and self._step():
                pass
        except Malformed as error:
            self._answer(error.answer)
        if self._at >= len(self._buffer):
            self._buffer = b""
            self._at = 0
        if self._ended and self._writable and self._state < _WAITING:
            self._close()  # the rest of the request will never come

    def _step(self) -> bool:
        """Read a head or (a part of) a body; False when more bytes, or an ending, must come first."""
        return self._read_head() if self._body is None else self._read_body(self._body)

    def _read_head(self) -> bool:
        buffer = self._buffer
        endpoint = self._endpoint
        limits = endpoint.limits
        if plain_head is not None and self._state == _IDLE:
            # Once for each head: of one that comes in many pieces not every piece is worth a look from the start.
            plain = plain_head(buffer, self._at, endpoint.plain_bytes, limits.max_headers)
            if plain is not None:
                return self._begin(plain, plain.end)
        # One empty line before a request is tolerated (RFC 9112, 2.2).
        start = self._at + 2 if buffer.startswith(b"\r\n", self._at) else self._at
        end = buffer.find(b"\r\n\r\n", start) + 4
        if end < 4 or end - start > limits.max_headers_bytes:
            check_start(buffer[start:], limits)
            if self._state == _IDLE:
                self._state = _HEAD
                self._wait_for_client(limits.header_timeout)
            return False
        return self._begin(read_head(buffer[start:end], limits), end)

    def _begin(self, head: Head | PlainHead, end: int) -> bool:
        """A head has been read; what follows it begins at `end`."""
        buffer = self._buffer
        self._head = head
        self._at = end
        broker = self._endpoint.route(head, self._names)
        if isinstance(broker, Answer):
            return self._refuse_unread(broker)
        self._broker = broker
        if head.chunked or len(buffer) - end < head.length:
            self._begin_body(head)
            return True
        # The whole body came with its head: the usual case.
        self._at = end + head.length
        return self._dispatch(buffer[end : self._at])

    def _begin_body(self, head: Head | PlainHead) -> None:
        if head.chunked:
            self._body = ChunkedBody(self._endpoint.body_limit(head))
        else:
            self._body = SizedBody(head.length)
        self._state = _BODY
        self._wait_for_client(self._endpoint.limits.body_timeout)
        if head.expects is not None and self._at == len(self._buffer):
            self._transport.write(CONTINUE)

    def _read_body(self, body: SizedBody | ChunkedBody) -> bool:
        self._at, complete = body.feed(self._buffer, self._at)
        if not self._hold(len(body.data)) or not complete:
            return False
        self._body = None
        return self._dispatch(bytes(body.data))

    def _hold(self, size: int) -> bool:
        """Count the unfinished body as `size` bytes; False, and refused, when that is too much memory."""
        if not self._endpoint.in_hand.grow(size - self._held):
            self._answer(FULL, close=True)
            return False
        self._held = size
        return True

    def _let_go(self) -> None:
        """Forget an unfinished body."""
        self._endpoint.in_hand.bytes -= self._held
        self._held = 0
        self._body = None

    def _refuse_unread(self, answer: Answer) -> bool:
        """Answer before the body is read; keep the connection only if the body is there to be skipped."""
        head = self._head
        assert head is not None
        if head.chunked or len(self._buffer) - self._at < head.length:
            return self._answer(answer, close=True)
        self._at += head.length
        return self._answer(answer)

    # ── answering ────────────────────────────────────────────────────────────────────────────

    def _dispatch(self, body: bytes) -> bool:
        """The request is complete: decode it and wait until it is durable."""
        assert self._head is not None
        endpoint = self._endpoint
        size = len(body)
        endpoint.in_hand.bytes += size - self._held
        self._held = 0
        pending = Pending(self, endpoint, size)
        answer = endpoint.accept(self._broker, self._head, body, pending)
        if isinstance(answer, Answer):
            endpoint.in_hand.bytes -= size
            return self._answer(answer)
        pending.count = answer
        self._pending = pending
        self._state = _WAITING
        self.deadline = self._home.time() + endpoint.limits.publish_timeout
        return False

    def accepted(self) -> None:
        """The events are durable."""
        assert self._head is not None
        self._pending = None
        self._endpoint.counters.answer(202)
        if self._head.keep_alive and not self._endpoint.draining:
            self._transport.write(ACCEPTED)
            self._next()
            if self._buffer or self._ended:
                self._go_on()
        else:
            self._transport.write(ACCEPTED_AND_CLOSE)
            self._linger()

    def answered(self, answer: Answer) -> None:
        """The events are not known to be durable; or they came in a transfer, and this says what became of each."""
        self._pending = None
        if self._answer(answer):
            self._go_on()

    def _answer(self, answer: Answer, *, close: bool = False) -> bool:
        """Write an answer; whether the connection stays for another request."""
        endpoint = self._endpoint
        if answer.reason:
            endpoint.counters.refuse(answer.status, answer.reason)
        else:
            endpoint.counters.answer(answer.status)
        head = self._head
        close = close or answer.close or endpoint.draining or head is None or not head.keep_alive
        bodiless = head is not None and head.method == b"HEAD"
        self._transport.write(render(answer, close=close, bodiless=bodiless))
        if close:
            self._linger()
            return False
        self._next()
        return True

    def _next(self) -> None:
        """Ready for another request."""
        self._head = None
        self._state = _IDLE
        self._wait_for_client(self._endpoint.limits.idle_timeout)
        if self._paused and self._writable:
            self._resume()

    def _wait_for_client(self, seconds: float) -> None:
        """Time for what the client has to send next."""
        allowed = min(seconds, DRAIN_SECONDS) if self._endpoint.draining else seconds
        self.deadline = self._home.time() + allowed

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # ── ending ───────────────────────────────────────────────────────────────────────────────

    def _linger(self) -> None:
        """Close our side; read on, so that the answer arrives, until the client closes or time is up."""
        self._give_up(_LINGERING)
        if self._ended:
            self._close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._resume()

    def _close(self) -> None:
        self._give_up(_CLOSED)
        self._transport.close()

    def _give_up(self, state: int) -> None:
        self._state = state
        self._buffer = b""
        self._at = 0
        self._let_go()
        self.deadline = self._home.time() + LINGER_SECONDS

    @property
    def waits(self) -> bool:
        """Whether a request waits for durability."""
        return self._state == _WAITING

    def expire(self) -> None:
        """Its deadline has passed: answer what can be answered, close what cannot."""
        if self._state == _WAITING:
            pending, self._pending = self._pending, None
            assert pending is not None
            pending.connection = None
            self.answered(_LATE)
        elif self._state >= _LINGERING:
            self._transport.abort()
        elif self._state == _IDLE:
            self._linger()  # its next request may be on the way, and a reset is no end for it
        else:
            self._answer(STOPPING if self._endpoint.draining else _SLOW)

    def drain(self) -> None:
        """The gateway stops: wait no longer than `DRAIN_SECONDS` for the client."""
        if self._state < _WAITING:
            self.deadline = min(self.deadline, self._home.time() + DRAIN_SECONDS)

    def abort(self) -> None:
        """Give up the connection at once."""
        self._transport.abort()
