"""The HTTP client against well-behaved and hostile subscribers, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mesh_gateway import native
from mesh_gateway.delivery import http
from mesh_gateway.delivery.connection import MAX_HEAD_BYTES, MAX_PIECES, Response
from mesh_gateway.delivery.http import HttpSettings, HttpSink, retry_after
from mesh_gateway.delivery.pool import IDLE
from mesh_gateway.delivery.sink import ACCEPTED, Accepted, Outcome, Refused, Retry
from mesh_gateway.event import Event

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

EVENT = Event.new(type="t", source="/s", id="1", data=b'{"a":1}', datacontenttype="application/json")


@pytest.fixture(scope="module", autouse=True, params=["native", "python"])
def _writing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Requests written by the native part where it can, and then all of them in Python."""
    if request.param == "native" and native.PARTS.binary_request is None:
        pytest.skip(str(native.PARTS))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(http, "binary_request", None)
        yield


class Server:
    """Counts connections and keeps what it read."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def request(self, reader: asyncio.StreamReader) -> None:
        """Read one whole request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(int(x[15:]) for x in head.lower().split("\r\n") if x.startswith("content-length:"))
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(length))


@asynccontextmanager
async def serving(
    answer: bytes | Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Server]:
    """A server that answers every request with the same bytes, or does as the function says."""
    server = Server()
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers.add(writer)
        try:
            if callable(answer):
                await answer(server, reader, writer)
            else:
                while True:
                    await server.request(reader)
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writers.discard(writer)
            writer.transport.abort()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for writer in list(writers):
            writer.transport.abort()
        await listening.wait_closed()


@asynccontextmanager
async def sink_to(server: Server, **changes: object) -> AsyncIterator[HttpSink]:
    settings = replace(HttpSettings(f"http://127.0.0.1:{server.port}/hook?x=1", timeout=5), **changes)  # type: ignore[arg-type]
    sink = HttpSink(settings)
    try:
        yield sink
    finally:
        await sink.close()


async def deliver(sink: HttpSink, event: Event = EVENT) -> Outcome:
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    sink.send(event, "context", lambda context, outcome: ended.set_result(outcome))
    async with asyncio.timeout(10):
        return await ended


async def outcome_of(answer: bytes, **changes: object) -> Outcome:
    async with serving(answer) as server, sink_to(server, **changes) as sink:
        return await deliver(sink)


def response(status: int, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


OK = response(202)


async def test_an_event_goes_out_in_binary_mode_with_knatives_headers():
    async with (
        serving(OK) as server,
        sink_to(server, namespace="shop", bearer="s3cret", headers=(("x-a", "b"),)) as sink,
    ):
        assert await deliver(sink) is ACCEPTED

    head = server.heads[0].lower()
    assert server.heads[0].startswith("POST /hook?x=1 HTTP/1.1\r\n")
    for line in (
        f"host: 127.0.0.1:{server.port}", "prefer: reply", "kn-namespace: shop", "authorization: bearer s3cret", "x-a: b",
        "ce-id: 1", "ce-type: t", "content-type: application/json", "content-length: 7", "accept-encoding: identity",
    ):  # fmt: skip
        assert f"\r\n{line}\r\n" in head
    assert server.bodies == [b'{"a":1}']


async def test_the_hop_counter_never_leaves_and_tracing_headers_do():
    event = Event({**EVENT.attributes, "knativebrokerttl": "7"}, None, None, {"traceparent": "00-a"})
    async with serving(OK) as server, sink_to(server) as sink:
        await deliver(sink, event)

    assert "knativebrokerttl" not in server.heads[0]
    assert "traceparent: 00-a" in server.heads[0]


@pytest.mark.parametrize("changes", [{"format": "json"}, {}])
async def test_structured_is_used_when_asked_for_and_when_headers_would_be_too_large(changes):
    attributes = dict(EVENT.attributes) if changes else {**EVENT.attributes, "big": "x" * 9_000}
    async with serving(OK) as server, sink_to(server, **changes) as sink:
        await deliver(sink, Event(attributes, EVENT.data))

    assert "content-type: application/cloudevents+json" in server.heads[0]
    assert b'"data":{"a":1}' in server.bodies[0]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_accepted(status):
    assert isinstance(await outcome_of(response(status)), Accepted)


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 502, 503, 599])
async def test_what_may_pass_is_to_be_retried(status):
    assert await outcome_of(response(status, body=b"why")) == Retry(f"status {status}", status, None, b"why")


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 403, 405, 410, 413, 415, 422])
async def test_everything_else_is_refused_and_no_redirect_is_followed(status):
    async with (
        serving(response(status, "location: http://127.0.0.1:1/\r\n")) as server,
        sink_to(server) as sink,
    ):
        assert await deliver(sink) == Refused(f"status {status}", status)

    assert len(server.heads) == 1


async def test_only_the_first_kilobyte_of_a_failure_is_kept():
    outcome = await outcome_of(response(500, body=b"x" * 5_000))

    assert isinstance(outcome, Retry)
    assert outcome.body == b"x" * 1_024


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None), ("", None), ("9" * 20, float("inf"))],
)
def test_retry_after_is_read_and_garbage_ignored(value, seconds):
    assert retry_after(Response(503, [(b"Retry-After", value.encode())], b"")) == seconds


def test_retry_after_may_be_a_date():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    found = retry_after(Response(503, [(b"retry-after", date.encode())], b""))

    assert found is not None
    assert 50 < found <= 60


async def test_retry_after_counts_on_429_and_503_only():
    limited = await outcome_of(response(429, "retry-after: 9\r\n"))
    broken = await outcome_of(response(500, "retry-after: 9\r\n"))

    assert isinstance(limited, Retry)
    assert limited.after == 9
    assert isinstance(broken, Retry)
    assert broken.after is None


CE = "ce-specversion: 1.0\r\nce-id: r\r\nce-source: /r\r\nce-type: reply\r\n"


async def test_an_event_in_the_answer_is_a_reply():
    outcome = await outcome_of(response(200, CE + "content-type: text/plain\r\n", b"hi"))

    assert isinstance(outcome, Accepted)
    assert outcome.reply is not None
    assert (outcome.reply.id, outcome.reply.data) == ("r", b"hi")


@pytest.mark.parametrize(
    "answer",
    [
        response(200, body=b"ok"),
        response(200, "ce-id: 1\r\n"),
        response(200, "content-type: application/cloudevents+json\r\n", b"{"),
    ],
)
async def test_a_body_that_is_no_event_is_refused_with_what_to_do(answer):
    outcome = await outcome_of(answer)

    assert isinstance(outcome, Refused)
    assert outcome.code == 502
    assert 'mesh-gateway.dev/replies: "off"' in outcome.why


async def test_without_replies_bodies_are_ignored_and_none_is_asked_for():
    async with serving(response(200, body=b"ok")) as server, sink_to(server, replies=False) as sink:
        assert await deliver(sink) is ACCEPTED

    assert "prefer" not in server.heads[0]


# ── hostile subscribers ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"garbage\r\n\r\n", "bad response"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * (MAX_HEAD_BYTES + 1), "response headers too large"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, "too many interim responses"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "bad response"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * (MAX_PIECES + 1),
            "response body in too many pieces",
        ),
    ],
)
async def test_an_answer_that_is_none_is_a_failed_attempt(answer, why):
    assert await outcome_of(answer) == Retry(why)


async def test_a_body_over_the_limit_is_cut_off_and_refused():
    outcome = await outcome_of(response(200, body=b"x" * 100_000), max_reply_bytes=1_000)

    assert outcome == Refused("response body too large")


async def test_a_compressed_bomb_is_only_bytes():
    assert isinstance(
        await outcome_of(response(500, "content-encoding: gzip\r\n", b"\x1f\x8b" + b"\0" * 50)), Retry
    )


async def test_an_answer_without_a_length_ends_with_the_connection():
    async def answer(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 503 X\r\n\r\nbusy")
        writer.write_eof()
        await reader.read()

    async with serving(answer) as server, sink_to(server) as sink:
        assert await deliver(sink) == Retry("status 503", 503, None, b"busy")


@pytest.mark.parametrize(
    "partial", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"]
)
async def test_who_never_finishes_an_answer_meets_the_deadline(partial):
    async def hang(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(partial)
        await reader.read()

    async with serving(hang) as server, sink_to(server, timeout=0.05) as sink:
        assert await deliver(sink) == Retry("timeout")


async def test_a_reset_on_the_first_use_of_a_connection_is_a_failed_attempt():
    async def reset(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.transport.abort()

    async with serving(reset) as server, sink_to(server) as sink:
        assert isinstance(await deliver(sink), Retry)

    assert len(server.heads) == 1


async def test_a_reused_connection_that_died_is_retried_once_in_silence():
    async def once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)
        if server.connections == 1:
            await reader.readuntil(b"\r\n\r\n")  # the second request on this connection
            writer.transport.abort()
            return
        await reader.read()

    async with serving(once) as server, sink_to(server) as sink:
        assert await deliver(sink) is ACCEPTED
        assert await deliver(sink) is ACCEPTED

    assert server.connections == 2


async def test_connections_are_reused_and_bounded():
    async with serving(OK) as server, sink_to(server, max_connections=2) as sink:
        outcomes = await asyncio.gather(*(deliver(sink) for _ in range(20)))

    assert outcomes == [ACCEPTED] * 20
    assert server.connections <= 2


async def test_a_connection_that_asks_to_be_closed_is():
    async with serving(response(202, "connection: close\r\n")) as server, sink_to(server) as sink:
        await deliver(sink)
        await deliver(sink)

    assert server.connections == 2


async def test_the_sweep_closes_connections_nobody_uses():
    async with serving(OK) as server, sink_to(server) as sink:
        await deliver(sink)
        pool = sink._pool
        assert len(pool._connections) == 1
        pool.sweep(asyncio.get_running_loop().time() + IDLE + 1)
        async with asyncio.timeout(5):
            while pool._connections:
                await asyncio.sleep(0)


async def test_nobody_there_is_a_failed_attempt():
    async with serving(OK) as server:
        port = server.port
    gone = Server()
    gone.port = port
    async with sink_to(gone) as sink:
        assert await deliver(sink) == Retry("connection refused")


async def test_a_name_that_is_none_is_a_failed_attempt():
    sink = HttpSink(HttpSettings("http://name.invalid/", timeout=5))
    outcome = await deliver(sink)
    await sink.close()

    assert outcome == Retry("name not found")


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://0/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"]
)
async def test_an_address_that_is_never_delivered_to_is_refused(url):
    sink = HttpSink(HttpSettings(url, timeout=5))
    outcome = await deliver(sink)
    await sink.close()

    assert isinstance(outcome, Refused)
    assert outcome.why.startswith("address not allowed")


async def test_closing_ends_every_attempt_and_nothing_is_sent_after_it():
    async def hang(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(hang) as server, sink_to(server, max_connections=1) as sink:
        attempts = [asyncio.ensure_future(deliver(sink)) for _ in range(3)]
        async with asyncio.timeout(5):
            while not server.connections:
                await asyncio.sleep(0)
        await sink.close()

        assert await asyncio.gather(*attempts) == [Retry("closed")] * 3
        assert await deliver(sink) == Retry("closed")


async def test_no_attempt_ends_before_send_has_returned():
    ended: list[Outcome] = []
    sink = HttpSink(HttpSettings("http://127.0.0.1:1/"))
    await sink.close()
    sink.send(EVENT, None, lambda context, outcome: ended.append(outcome))

    assert ended == []
    await asyncio.sleep(0)
    assert ended == [Retry("closed")]


def test_credentials_do_not_show():
    settings = HttpSettings("http://x/", bearer="s3cret", headers=(("x-key", "s3cret"),))

    assert "s3cret" not in repr(settings)
