"""The proxy breaks connections as networks do: each way looks to both sides as it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mesh_gateway.testing.proxy import Proxy

SILENCE = 0.05
"""Seconds in which what is not held back would long have come."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Answers what it is told, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.said_goodbye = asyncio.Event()
        self.reset = asyncio.Event()
        self.told = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.heard += data
                self.told.set()
                writer.write(data)
            self.said_goodbye.set()
        except ConnectionResetError:
            self.reset.set()
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()) as proxy:
        yield echo, proxy


@pytest.fixture
async def streams(echo: tuple[Echo, Proxy]) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*echo[1].address)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    yield reader, writer
    writer.transport.abort()


async def arrives(reader: asyncio.StreamReader, count: int) -> bytes:
    """What comes, or nothing when nothing does."""
    try:
        async with asyncio.timeout(SILENCE):
            return await reader.readexactly(count)
    except TimeoutError:
        return b""


async def read_from(address: tuple[str, int]) -> bytes:
    """All that comes over a new connection."""
    reader, _ = await asyncio.open_connection(*address)
    return await reader.read()


async def test_an_end_is_passed_on(echo, streams):
    _, writer = streams

    writer.write_eof()

    await echo[0].said_goodbye.wait()


async def test_a_cut_resets_both_sides(echo, streams):
    server, proxy = echo
    reader, _ = streams

    proxy.cut()

    with pytest.raises(ConnectionResetError):
        await reader.read()
    await server.reset.wait()


async def test_after_a_cut_new_connections_pass(echo, streams):
    proxy = echo[1]
    proxy.cut()

    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(b"again")

    assert await reader.readexactly(5) == b"again"
    writer.transport.abort()


async def test_lost_answers_vanish_while_the_server_is_told(echo, streams):
    server, proxy = echo
    reader, writer = streams
    server.told.clear()

    proxy.lose_answers()
    writer.write(b"lost")

    await server.told.wait()
    await proxy.answer_lost.wait()
    assert server.heard == b"hellolost"
    assert await arrives(reader, 1) == b""


async def test_a_connection_that_has_lost_bytes_does_not_go_on(echo, streams):
    proxy = echo[1]
    reader, writer = streams
    proxy.lose_answers()
    writer.write(b"lost")
    await proxy.answer_lost.wait()

    proxy.resume()

    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_a_frozen_connection_carries_nothing_until_it_is_resumed_and_new_ones_pass(echo, streams):
    server, proxy = echo
    reader, writer = streams

    proxy.freeze()
    writer.write(b"held")
    new_reader, new_writer = await asyncio.open_connection(*proxy.address)
    new_writer.write(b"new")
    assert await new_reader.readexactly(3) == b"new"
    assert await arrives(reader, 1) == b""
    assert server.heard == b"hellonew"

    proxy.resume()

    assert await reader.readexactly(4) == b"held"
    new_writer.transport.abort()


async def test_stalled_even_a_new_connection_stays_silent(echo, streams):
    proxy = echo[1]

    proxy.stall()
    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(b"late")
    assert await arrives(reader, 1) == b""

    proxy.resume()

    assert await reader.readexactly(4) == b"late"
    writer.transport.abort()


async def test_refused_a_new_connection_is_reset(echo, streams):
    proxy = echo[1]

    proxy.refuse()

    with pytest.raises(ConnectionResetError):
        await read_from(proxy.address)


async def test_a_server_that_is_gone_looks_gone():
    async with Proxy(("127.0.0.1", 1)) as proxy:
        with pytest.raises(ConnectionResetError):
            await read_from(proxy.address)
