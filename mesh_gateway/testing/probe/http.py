"""Just enough HTTP/1.1 for a prober: a client that says honestly whether it had an answer, and a server whose
answers may be as bad as a subscriber's can be.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

HEAD_LIMIT = 2**20
"""Bytes of a head; far more than any mesh sends."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request that came: its path, headers in lower case, body."""

    path: str
    headers: dict[str, str]
    body: bytes


class NoAnswer(Exception):
    """The request may or may not have been taken: the connection was lost, or the answer did not come in time."""


class NotSent(Exception):
    """Nobody was there to take it."""


class Client:
    """One connection that is kept alive, and made anew after it was lost. One request at a time."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._where = host, port
        self._tls = tls
        self._wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(
        self, path: str, headers: Iterable[tuple[str, str]], body: bytes, seconds: float
    ) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer, if it is there within `seconds`. Raises `NoAnswer` or `NotSent`."""
        host, port = self._where
        lines = [f"POST {path} HTTP/1.1", f"host: {host}:{port}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        fresh = self._wire is None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await self._connected()
                writer.write(request)
                await writer.drain()
                return await self._answer(reader)
        except ConnectionRefusedError as error:
            raise NotSent(str(error)) from error
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            raise NoAnswer(
                f"{type(error).__name__} on a {'fresh' if fresh else 'kept'} connection"
            ) from error
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; the next request makes one."""
        if self._wire is not None:
            self._wire[1].transport.abort()
            self._wire = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._wire is None:
            self._wire = await asyncio.open_connection(*self._where, limit=HEAD_LIMIT, ssl=self._tls)
        return self._wire

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        first, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split()[1]), headers


Serve = Callable[[Message, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; may close the connection, and what it raises as `OSError` ends it."""


class Server:
    """Listens, and has every request answered by `serve`."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    async def run(self, host: str, port: int, listening: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until `stop` is set; `listening` is called as soon as it does. Raises `OSError` when the address
        cannot be had.
        """
        server = await asyncio.start_server(self._connection, host, port, limit=HEAD_LIMIT, backlog=512)
        listening()
        await stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                first, headers = _head(await reader.readuntil(b"\r\n\r\n"))
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await self._serve(Message(first.split()[1], headers, body), writer)
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            pass  # whoever connected has gone, or does not speak HTTP, or this process is being stopped
        finally:
            writer.transport.abort()


def rendered(status: int, headers: Mapping[str, str] | Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A whole answer."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"HTTP/1.1 {status} Probed", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in pairs]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _head(raw: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return first, {name.lower(): value.strip(" \t") for name, _, value in pairs}
