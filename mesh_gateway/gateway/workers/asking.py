"""The admin API of one worker, asked by its parent over a private socket: one connection a question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httptools

from mesh_gateway.errors import MeshError

ANSWER_SECONDS = 8.0
"""For a whole answer to a question: twice what the workers give their transports (`backlog.SCRAPE_SECONDS`), and less than a client waits."""

READ_BYTES = 65_536

T = TypeVar("T")


class Silent(MeshError):
    """A worker does not answer; says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole one."""

    status: int
    body: bytes

    @property
    def document(self) -> Any:
        """As JSON. Raises `ValueError`."""
        return json.loads(self.body)


class Asked:
    """Takes an HTTP answer apart, as httptools calls it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.headed = False
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    @property
    def status(self) -> int:
        code: int = self._parser.get_status_code()
        return code

    def taken(self) -> bytes:
        """What of the body has come since the last time."""
        body, self.pieces = b"".join(self.pieces), []
        return body

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.complete = True


class Asking:
    """Asks one worker. Everything raises `Silent` when it does not answer, or not to the end."""

    def __init__(self, worker: int, path: str) -> None:
        self._worker = worker
        self._path = path

    async def get(self, target: str) -> Answer:
        """What is at `target`, path and query."""
        return await self._in_time(self._whole("GET", target, b""))

    async def post(self, target: str, document: Mapping[str, Any]) -> Answer:
        """The answer to this JSON, however long it takes: dead letters may be many. A worker whose loop stands still is
        ended meanwhile (`Worker.watch`), which is heard here.
        """
        return await self._whole("POST", target, json.dumps(document).encode())

    async def _whole(self, method: str, target: str, body: bytes) -> Answer:
        pieces = [piece async for piece in self._pieces(method, target, body)]
        return Answer(int(pieces[0]), b"".join(pieces[1:]))

    async def lines(self, target: str) -> AsyncIterator[dict[str, Any]]:
        """The JSON lines of a stream, as they come, until the worker ends it. An answer other than 200 has none."""
        text = b""
        pieces = self._pieces("GET", target, b"")
        if await self._in_time(anext(pieces)) != b"200":
            return
        async for piece in pieces:
            *whole, text = (text + piece).split(b"\n")
            for line in whole:
                yield json.loads(line)

    async def _in_time(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError as error:
            raise self._silent("gives no answer in time") from error

    async def _pieces(self, method: str, target: str, body: bytes) -> AsyncIterator[bytes]:
        """The status, then the body as it comes."""
        asked = Asked()
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise self._silent("cannot be reached") from error
        try:
            writer.write(
                f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode("latin-1")
                + body
            )
            told = False
            while not asked.complete:
                data = await reader.read(READ_BYTES)
                if not data:
                    raise self._silent("has ended while it answered")
                asked.feed(data)
                if asked.headed and not told:
                    told = True
                    yield str(asked.status).encode()
                if piece := asked.taken():
                    yield piece
        except (OSError, httptools.HttpParserError) as error:
            raise self._silent("has ended while it answered") from error
        finally:
            writer.transport.abort()

    def _silent(self, why: str) -> Silent:
        return Silent(f"worker {self._worker} {why}")
