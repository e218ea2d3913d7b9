"""One connection to SQS: a request, its answer, then the next; everything bounded. Callbacks, and one future a request.

ask ─▶ bytes ─▶ parsed ─▶ answered, and free for the next          ended by whichever side ─▶ never free again
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import httptools

LARGEST_HEAD = 64 * 1024
LARGEST_ANSWER = LARGEST_HEAD + 16 * 2**20
"""Bytes of an answer in all: ten messages of 1 MiB, in JSON."""


class Broken(OSError):
    """The connection broke, or its answer cannot be read: what became of the request is unknown."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 over `stream`, which is open, and is its owner from now on.

    An answer is handed on once the parser has returned, not while it is inside the same bytes: what a server sends behind
    its answer is never taken for that to the next request, and ends the connection.
    """

    def __init__(self, stream: asyncio.StreamWriter) -> None:
        self._stream = stream  # held: one that nobody holds closes its transport (Python 3.13)
        self._transport = stream.transport
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[Answer] | None = None
        self._open = True
        self._begin()
        self._transport.set_protocol(self)

    def _begin(self) -> None:
        self._received = 0
        self._head_done = self._keep = False
        self._pieces: list[bytes] = []
        self._answer: Answer | None = None

    @property
    def free(self) -> bool:
        """Whether it can be asked."""
        return self._open and self._answered is None

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request on a free connection. Its answer, or `Broken`, or the error that `end` was given."""
        answered = self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return answered

    def end(self, error: Exception) -> None:
        """Disconnect; who waits for an answer gets this error."""
        self._open = False
        self._transport.abort()
        answered, self._answered = self._answered, None
        if answered is not None and not answered.done():
            answered.set_exception(error)

    # ── asyncio.Protocol ─────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._answered is None:
            self.end(Broken("bytes that nobody has asked for"))
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._answer is None:
                self.end(Broken(f"the answer is no HTTP: {error}"))
                return
        if self._answer is not None:
            self._hand_on(self._answer)
        elif self._received > (LARGEST_ANSWER if self._head_done else LARGEST_HEAD):
            self.end(Broken("an answer that does not end"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(Broken(f"the connection broke: {exc or 'it was closed'}"))

    # ── httptools ────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        self._keep = False  # behind a complete answer: something that nobody has asked for

    def on_headers_complete(self) -> None:
        self._head_done = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and self._answer is None:  # those before are interim
            self._answer = Answer(status, b"".join(self._pieces))
            self._keep = self._parser.should_keep_alive()

    def _hand_on(self, answer: Answer) -> None:
        """The connection is free for the next unless something came behind the answer."""
        answered, self._answered = self._answered, None
        keep = self._keep
        self._begin()
        if not keep:
            self.end(Broken("the server closes it"))
        if answered is not None and not answered.done():
            answered.set_result(answer)
