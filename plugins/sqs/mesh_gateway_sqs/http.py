"""A small HTTP/1.1 client for one host: kept connections, a deadline for each request, no redirects, no proxies."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

CONNECT_SECONDS = 4.0
"""To connect, with TLS; the contract gives `open` about five seconds."""

LARGEST_HEAD = 64 * 1024
LARGEST_BODY = 16 * 2**20
"""Of a response: ten messages of 1 MiB, in JSON."""

IDLE = 32
"""Connections that are kept: eight publishes and a poll for each of a few dozen queues."""


CONNECTING = 32
"""Connections that are being made at a time. A server has room for so many that it has not accepted yet (often 128), and
lets the others wait for seconds; meanwhile some that are busy become free.
"""


class Unsent(OSError):
    """The request has certainly not been processed: no connection was made."""


class Broken(OSError):
    """The connection broke, or its answer cannot be read: what became of the request is unknown."""


class Http:
    """Requests to one origin. Safe to call concurrently; each request has a connection for itself."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.secure = parts.scheme == "https"
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if self.secure else 80)
        usual = self._port == (443 if self.secure else 80)
        self.host = self._name if usual else f"{self._name}:{self._port}"
        self._context = (context or ssl.create_default_context()) if self.secure else None
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._busy: set[asyncio.StreamWriter] = set()
        self._connecting = asyncio.Semaphore(CONNECTING)

    async def post(self, headers: Mapping[str, str], body: bytes, seconds: float) -> tuple[int, bytes]:
        """Status and body of the answer. Raises `Unsent`, `Broken`, `TimeoutError`. A cancelled one is disconnected."""
        async with asyncio.timeout(seconds):
            reader, writer = await self._connection()
            self._busy.add(writer)
            keep = False
            try:
                lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
                lines.append(f"content-length: {len(body)}")
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                await writer.drain()
                status, answer, keep = await _answer(reader)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
                raise Broken(f"the connection to {self.host} broke: {error}") from error
            finally:
                self._busy.discard(writer)
                if keep and len(self._idle) < IDLE:
                    self._idle.append((reader, writer))
                else:
                    writer.transport.abort()
            return status, answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        found = self._kept()
        if found is None:
            async with self._connecting:
                found = self._kept() or await self._new()
        return found

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return None

    async def _new(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(
                    self._name, self._port, ssl=self._context, limit=LARGEST_HEAD
                )
        except TimeoutError:
            raise Unsent(f"{self.host} does not answer within {CONNECT_SECONDS:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Unsent(
                f"{self.host} showed a certificate that is not trusted: {error.verify_message}"
            ) from error
        except OSError as error:
            raise Unsent(f"cannot connect to {self.host}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Disconnect everything."""
        for writer in [writer for _, writer in self._idle] + list(self._busy):
            writer.transport.abort()
        self._idle.clear()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = head[0].partition(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        length = int(headers.get("content-length", "0"))
        if length > LARGEST_BODY:
            raise ValueError(f"an answer of {length} bytes")
        body = await reader.readexactly(length)
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return int(rest[:3]), body, keep


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        total += size
        if total > LARGEST_BODY:
            raise ValueError("an answer that does not end")
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)
