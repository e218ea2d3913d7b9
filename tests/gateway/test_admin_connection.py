"""Clients of the admin listener that are slow, or say too much."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from mesh_gateway.gateway.admin import connection
from mesh_gateway.gateway.admin.connection import MAX_HEAD_BYTES, AdminConnection
from mesh_gateway.gateway.admin.listener import quiet_server

GET = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class Site:
    """An application that answers when the test lets it, behind the admin listener's connections."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.port = 0
        self.server: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    @property
    def connections(self) -> list[AdminConnection]:
        return list(self.server.server_state.connections)

    async def connected(self, count: int) -> list[AdminConnection]:
        async with asyncio.timeout(10):
            while len(self.connections) != count:
                await asyncio.sleep(0)
        return self.connections


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    config = uvicorn.Config(
        site, http=AdminConnection, ws="none", lifespan="off", log_config=None, access_log=False
    )
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    site.port = door.getsockname()[1]
    site.server = quiet_server(config)
    serving = asyncio.ensure_future(site.server.serve(sockets=[door]))
    async with asyncio.timeout(10):
        while not site.server.started:
            await asyncio.sleep(0)
    yield site
    site.go.set()
    for client in site.connections:
        client.expire()
    site.server.should_exit = True
    await serving


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    async with asyncio.timeout(10):
        return await reader.readuntil(b"ok")


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nx: y", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n1"]
)
async def test_who_is_late_is_closed(site: Site, begun: bytes) -> None:
    site.go.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(begun)
    (connection,) = await site.connected(1)
    if begun:
        async with asyncio.timeout(10):
            while not connection._received and not connection.cycle:
                await asyncio.sleep(0)
    assert connection._overdue is not None
    connection.expire()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    await site.connected(0)
    writer.close()


async def test_a_trickle_moves_no_deadline_and_a_request_ends_it(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    (connection,) = await site.connected(1)
    assert await ask(reader, writer, GET)
    assert connection._overdue is None  # uvicorn's own time of an idle connection runs now
    writer.write(GET[:10])
    async with asyncio.timeout(10):
        while connection._overdue is None:
            await asyncio.sleep(0)
    due = connection._overdue
    writer.write(GET[10:20])
    await asyncio.sleep(0)
    assert connection._overdue is due
    assert await ask(reader, writer, GET[20:])
    writer.close()


@pytest.mark.parametrize("again", [b"x: y\r\n", b"y" * 100])
async def test_a_head_without_end_is_cut_off(site: Site, again: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET / HTTP/1.1\r\nx: " + again * (2 * MAX_HEAD_BYTES // len(again)))
    async with asyncio.timeout(10):
        said = await reader.read()
    assert said.startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_one_connection_too_many_is_closed_and_others_are_served(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 1)
    first, first_writer = await asyncio.open_connection("127.0.0.1", site.port)
    await site.connected(1)
    second, second_writer = await asyncio.open_connection("127.0.0.1", site.port)
    async with asyncio.timeout(10):
        assert await second.read() == b""
    assert await ask(first, first_writer, GET)
    for writer in (first_writer, second_writer):
        writer.close()
