"""One request and its answer, against a server that says what the test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from mesh_gateway_sqs import connection
from mesh_gateway_sqs.connection import Broken
from mesh_gateway_sqs.http import Http, Unsent

from mesh_gateway.testing.ports import free_port

pytestmark = pytest.mark.anyio

HEADERS = {"host": "sqs"}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CLOSE = b"close"
"""Among pieces: the server ends the connection here."""


class Server:
    """Answers each request with the next script: pieces of bytes, each sent by itself."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Event()
        """A client has gone."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                for piece in self.scripts.pop(0):
                    if piece is CLOSE:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)  # so that it goes by itself
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def serving(*scripts: list[bytes]) -> AsyncIterator[tuple[Server, Http]]:
    server = Server(*scripts)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    http = Http(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    try:
        yield server, http
    finally:
        await http.close()
        listening.close()


async def test_requests_one_after_the_other_share_a_connection():
    async with serving([OK], [OK]) as (server, http):
        for body in (b"one", b"two"):
            assert await http.post(HEADERS, body, 5) == (200, b"{}")

        assert server.requests == [
            b"POST / HTTP/1.1\r\nhost: sqs\r\ncontent-length: 3\r\n\r\n" + body for body in (b"one", b"two")
        ]
        assert server.connections == 1


async def test_an_answer_is_read_however_it_is_cut():
    text = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world"
    async with serving([text[at : at + 7] for at in range(0, len(text), 7)]) as (_, http):
        assert await http.post(HEADERS, b"", 5) == (200, b"hello world")


async def test_an_answer_in_chunks_is_put_together():
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving([head, b"5\r\nhello\r\n6;x=y\r\n wo", b"rld\r\n0\r\ntrailer: z\r\n\r\n"], [OK]) as (
        server,
        http,
    ):
        assert await http.post(HEADERS, b"", 5) == (200, b"hello world")
        assert await http.post(HEADERS, b"", 5) == (200, b"{}")
        assert server.connections == 1


async def test_an_interim_answer_is_passed_over():
    async with serving([b"HTTP/1.1 100 Continue\r\n\r\n", OK]) as (_, http):
        assert await http.post(HEADERS, b"", 5) == (200, b"{}")


@pytest.mark.parametrize("pieces", [1, 2])
async def test_what_comes_behind_an_answer_is_never_taken_for_the_next(pieces):
    stray = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray"
    script = [OK + stray] if pieces == 1 else [OK, stray]
    async with serving(script, [OK]) as (server, http):
        assert await http.post(HEADERS, b"", 5) == (200, b"{}")
        await asyncio.wait_for(server.ended.wait(), 5)

        assert await http.post(HEADERS, b"", 5) == (200, b"{}")
        assert server.connections == 2


@pytest.mark.parametrize(
    "script", [[OK, CLOSE], [OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)]]
)
async def test_a_connection_that_the_server_ends_is_not_used_again(script):
    async with serving(script, [OK]) as (server, http):
        await http.post(HEADERS, b"", 5)
        await asyncio.wait_for(server.ended.wait(), 5)
        await asyncio.sleep(0.01)  # our side hears of it

        assert await http.post(HEADERS, b"", 5) == (200, b"{}")
        assert server.connections == 2


@pytest.mark.parametrize(
    "script",
    [
        [CLOSE],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", CLOSE],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSE],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n"],
        [b"220 mail.example ESMTP\r\n"],
    ],
)
async def test_an_answer_that_breaks_off_or_is_no_http_leaves_its_request_unknown(script):
    async with serving(script) as (_, http):
        with pytest.raises(Broken):
            await http.post(HEADERS, b"", 5)


@pytest.mark.parametrize(
    "script",
    [[b"HTTP/1.1 200 OK\r\n", b"x: %b\r\n" % (b"y" * 2_000)], [OK.replace(b": 2", b": 9000"), b"z" * 5_000]],
)
async def test_an_answer_beyond_all_bounds_ends_the_connection(monkeypatch, script):
    monkeypatch.setattr(connection, "LARGEST_HEAD", 1_000)
    monkeypatch.setattr(connection, "LARGEST_ANSWER", 4_000)
    async with serving(script) as (_, http):
        with pytest.raises(Broken, match="does not end"):
            await http.post(HEADERS, b"", 5)


async def test_an_answer_that_is_late_is_a_timeout_and_its_connection_is_gone():
    async with serving([], [OK]) as (server, http):
        with pytest.raises(TimeoutError):
            await http.post(HEADERS, b"", 0.05)

        await asyncio.wait_for(server.ended.wait(), 5)
        assert await http.post(HEADERS, b"", 5) == (200, b"{}")


async def test_a_request_that_is_cancelled_is_disconnected():
    async with serving([]) as (server, http):
        asking = asyncio.ensure_future(http.post(HEADERS, b"", 5))
        while not server.requests:
            await asyncio.sleep(0.001)

        asking.cancel()

        await asyncio.wait_for(server.ended.wait(), 5)
        assert asking.cancelled()


async def test_a_client_that_is_closed_leaves_nobody_waiting():
    async with serving([]) as (server, http):
        asking = asyncio.ensure_future(http.post(HEADERS, b"", 5))
        while not server.requests:
            await asyncio.sleep(0.001)

        await http.close()

        with pytest.raises(Broken, match="closed"):
            await asking


async def test_where_nobody_listens_nothing_was_sent():
    with pytest.raises(Unsent):
        await Http(f"http://127.0.0.1:{free_port()}").post(HEADERS, b"", 5)


@pytest.mark.parametrize("trusted", [True, False])
async def test_over_tls_the_certificate_is_looked_at(trusted):
    authority, server = trustme.CA(), Server([OK], [OK])
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    if trusted:
        authority.configure_trust(ours)
    listening = await asyncio.start_server(server.connected, "localhost", 0, ssl=theirs)
    http = Http(f"https://localhost:{listening.sockets[0].getsockname()[1]}", ours)

    if trusted:
        for _ in range(2):
            assert await http.post(HEADERS, b"", 5) == (200, b"{}")
        assert server.connections == 1
    else:
        with pytest.raises(Unsent, match="not trusted"):
            await http.post(HEADERS, b"", 5)

    await http.close()
    listening.close()
