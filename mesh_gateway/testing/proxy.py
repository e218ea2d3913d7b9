"""A TCP proxy between a transport and its server, that breaks what passes through it as networks do.

    async with Proxy(("127.0.0.1", 5672)) as proxy:
        transport = NatsTransport(options_for(*proxy.address), context)
        proxy.stall()

Half-open: while it is stalled, connections stand and new ones are accepted, but nothing arrives on either
side, not even an end. Acknowledgements lost: what the server says vanishes, while what it is told arrives.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self

from mesh_gateway.testing.ports import free_port

CHUNK = 64 * 1024

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST instead of FIN and drops what was not sent."""


class Proxy:
    """Passes bytes between its own address and `server`, until it is told otherwise.

    For one event loop; its methods may be called from any task of it, and act at once. What they do to new
    connections lasts until `resume`. `port` 0 takes a free one.
    """

    def __init__(self, server: tuple[str, int], port: int = 0) -> None:
        self.server = server
        self.answer_lost = asyncio.Event()
        """Set when something that the server said has vanished."""
        self._port = port
        self._links: set[_Link] = set()
        self._refusing = self._stalling = self._losing = False
        self._listener: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to instead of the server's."""
        return "127.0.0.1", self._port

    async def __aenter__(self) -> Self:
        """Listen. Raises `OSError` when the port is taken."""
        self._port = self._port or free_port()
        self._listener = await asyncio.start_server(self._accept, *self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reset every connection and listen no more."""
        assert self._listener is not None
        self._listener.close()
        links = tuple(self._links)
        self.cut()
        if links:
            await asyncio.wait([link.task for link in links])
        await self._listener.wait_closed()

    # ── what can be done to it ───────────────────────────────────────────────────────────────

    def cut(self) -> None:
        """Reset every connection, on both sides; new ones pass."""
        for link in tuple(self._links):
            link.reset()

    def refuse(self) -> None:
        """Reset every connection, and each new one as soon as it is made."""
        self._refusing = True
        self.cut()

    def freeze(self) -> None:
        """Hold back every byte and every end on the connections that stand: half-open. New ones pass."""
        for link in self._links:
            link.flowing.clear()

    def stall(self) -> None:
        """As `freeze`, and new connections are accepted and stay silent: nobody answers."""
        self._stalling = True
        self.freeze()

    def lose_answers(self) -> None:
        """Let vanish what the server says, on all connections; what it is told goes on to arrive."""
        self._losing = True
        self.answer_lost.clear()

    def resume(self) -> None:
        """Pass everything again, also what was held back. Connections that have lost bytes are reset."""
        self._refusing = self._stalling = self._losing = False
        for link in tuple(self._links):
            link.flowing.set()
            if link.lossy:
                link.reset()

    # ── one connection ───────────────────────────────────────────────────────────────────────

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The life of one connection; its task is the listener's."""
        task = asyncio.current_task()
        assert task is not None
        link = _Link(task, writer)
        self._links.add(link)
        try:
            if self._refusing:
                return
            if self._stalling:
                link.flowing.clear()
            server_reader, server_writer = await asyncio.open_connection(*self.server)
            link.writers.append(server_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(link, reader, server_writer))
                both.create_task(self._answer(link, server_reader, writer))
        except* OSError:
            pass  # one side is gone, so the other one goes as well
        except* asyncio.CancelledError:
            pass  # `cut`
        finally:
            self._links.discard(link)
            link.reset()

    async def _ask(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass what the client says."""
        while data := await reader.read(CHUNK):
            await link.flowing.wait()
            writer.write(data)
            await writer.drain()
        await link.flowing.wait()
        writer.write_eof()

    async def _answer(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass what the server says."""
        while data := await reader.read(CHUNK):
            await link.flowing.wait()
            if self._losing:
                link.lossy = True
                self.answer_lost.set()
                continue
            writer.write(data)
            await writer.drain()
        await link.flowing.wait()
        writer.write_eof()


class _Link:
    """One connection through the proxy: the task that serves it, and its sockets."""

    def __init__(self, task: asyncio.Task[None], client: asyncio.StreamWriter) -> None:
        self.task = task
        self.writers = [client]
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.lossy = False
        """Some bytes have vanished: nothing that passes from now on makes sense."""

    def reset(self) -> None:
        for writer in self.writers:
            if not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        if self.task is not asyncio.current_task():
            self.task.cancel()
