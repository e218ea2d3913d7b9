"""A connection to the admin listener: uvicorn's, with the limits that uvicorn leaves to a proxy before it.

uvicorn waits for the first request of a connection, and for the end of any, as long as the client likes, and reads heads of
any size. Here each has its deadline and the head its size, as at the data listener.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 10.0
"""From the connection, or a request's first byte, to its last: operators and scrapers are near, their requests small."""

MAX_HEAD_BYTES = 32_768
"""Of a request's line and headers: what the data listener takes."""

MAX_CONNECTIONS = 1_200
"""A thousand watches (`MAX_WATCHED`), and scrapers, probes and operators besides."""


class AdminConnection(HttpToolsProtocol):
    """One client; closed when it is late or says too much."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._overdue: asyncio.TimerHandle | None = None
        self._in_head = True
        self._received = 0
        self._read = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.close()
            return
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            # One line without end is in the parser's hands, and counted here.
            self._received += len(data)
            if self._received > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        self._in_head = True
        self._received = self._read = 0
        self._expect()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect_nothing()
        super().on_message_complete()

    def _count(self, *parts: bytes) -> None:
        """Raises `ValueError`, which the parser passes on as a bad request."""
        self._read += sum(map(len, parts))
        if self._read > MAX_HEAD_BYTES:
            raise ValueError("the head of the request is too large")

    def _expect(self) -> None:
        self._expect_nothing()
        self._overdue = self.loop.call_later(REQUEST_SECONDS, self.expire)

    def _expect_nothing(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def expire(self) -> None:
        """The request is late: nobody waits for the rest of it."""
        self._overdue = None
        self.transport.abort()
