"""One connection: order, waiting, bodies that come slowly, clients that leave."""

import pytest

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.ingress.limits import IngressLimits
from mesh_gateway.ingress.protocol import Connection
from tests.ingress.memory import Home, Recorder, Wire
from tests.ingress.serving import chunked, event, event_lines, head, serving, structured, until


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with serving() as served, served.client() as client:
        client.send(
            event("1") + head(method="GET") + event("2") + event(path="/no/where") + chunked("3", b"x")
        )
        assert [(await client.reply()).status for _ in range(5)] == [202, 405, 202, 404, 202]
        assert served.broker.ids == ["1", "2", "3"]


async def test_a_pipelined_request_waits_until_the_one_before_is_durable() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1") + event("2"))
        await until(lambda: served.broker.calls == 1)
        client.send(event("3"))
        async with served.client() as other:  # a round trip: what was sent before has been received
            await other.ask(head(method="GET"))
        assert served.broker.ids == ["1"]
        for count in (1, 2, 3):
            await until(lambda count=count: served.broker.calls == count)  # type: ignore[misc]  # bound early
            served.broker.finish()
            assert (await client.reply()).status == 202
        assert served.broker.ids == ["1", "2", "3"]


async def test_a_failure_answers_its_own_request_and_the_next_goes_on() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1") + event("2"))
        await until(lambda: served.broker.calls == 1)
        served.broker.finish(ConnectionLost("gone"))
        assert (await client.reply()).status == 503
        await until(lambda: served.broker.calls == 2)
        served.broker.finish()
        assert (await client.reply()).status == 202


async def test_a_waiting_connection_reads_no_more_than_one_piece() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1"))
        await until(lambda: served.broker.calls == 1)
        client.writer.transport.set_write_buffer_limits(high=0)
        client.send(event("2", b"x" * 1_000_000) * 40)
        [connection] = served.listener._connections
        await until(lambda: bool(connection._buffer))
        for _ in range(200):
            async with served.client() as other:
                await other.ask(head(method="GET"))
        assert len(connection._buffer) < 1_000_000
        assert client.writer.transport.get_write_buffer_size() > 0
        client.writer.transport.abort()


async def test_an_event_may_come_byte_by_byte() -> None:
    async with serving() as served, served.client() as client:
        for byte in event("1", b"abc"):
            client.send(bytes([byte]))
            await client.writer.drain()
        assert (await client.reply()).status == 202
        assert served.broker.events[0].data == b"abc"


async def test_a_large_body_arrives_whole() -> None:
    async with serving() as served, served.client() as client:
        body = bytes(range(256)) * 4_096
        assert (await client.ask(event("1", body))).status == 202
        assert (
            await client.ask(chunked("2", *[body[at : at + 5_000] for at in range(0, len(body), 5_000)]))
        ).status == 202
        assert [stored.data == body for stored in served.broker.events] == [True, True]
        assert served.endpoint.in_hand.bytes == 0


async def test_an_empty_line_before_a_request_is_forgiven_once() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(b"\r\n" + event("1"))).status == 202
        client.send(b"\r\n")
        assert (await client.ask(event("2"))).status == 202
        assert (await client.ask(b"\r\n\r\n" + event("3"))).status == 400
        assert served.broker.ids == ["1", "2"]


async def test_continue_is_said_when_the_head_is_acceptable() -> None:
    async with serving() as served, served.client() as client:
        whole = event("1", b"abcd", "Expect: 100-Continue")
        assert (await client.ask(whole[:-4])).status == 100
        assert (await client.ask(whole[-4:])).status == 202
        assert served.broker.events[0].data == b"abcd"


async def test_continue_is_not_said_when_the_body_is_there() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(event("1", b"abcd", "expect: 100-continue"))).status == 202


async def test_continue_is_not_said_when_the_body_has_begun_to_come() -> None:
    async with serving() as served, served.client() as client:
        whole = event("1", b"abcd", "expect: 100-continue")
        client.send(whole[:-2])
        await until(lambda: served.endpoint.in_hand.bytes == 2)
        assert (await client.ask(whole[-2:])).status == 202


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head(*event_lines(), "expect: 100-continue", "content-length: 9", path="/no/where"), 404),
        (head(*event_lines(), "expect: 100-continue", "content-length: 99999999"), 413),
        (head(*event_lines(), "expect: a-pony", "content-length: 9"), 417),
        (head("content-type: application/cloudevents+xml", "expect: 100-continue", "content-length: 9"), 415),
        (head("expect: 100-continue", "content-length: 9", method="PUT"), 405),
    ],
)
async def test_a_refusal_comes_instead_of_continue_and_closes(request_head: bytes, status: int) -> None:
    async with serving() as served, served.client() as client:
        reply = await client.ask(request_head)
        assert (reply.status, reply.closes) == (status, True)
        assert await client.rest() == b""
        assert served.broker.calls == 0


async def test_http_10_is_answered_and_closed_and_never_told_to_continue() -> None:
    async with serving() as served, served.client() as client:
        lines = [*event_lines(), "content-length: 2", "expect: 100-continue", "connection: keep-alive"]
        client.send(head(*lines, version="HTTP/1.0", host=None))
        reply = await client.ask(b"{}")
        assert (reply.status, reply.closes) == (202, True)
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "lines",
    [["connection: close"], ["connection: x, Close"], ["connection: close", "connection: keep-alive"]],
)
async def test_the_connection_closes_when_the_client_asked(lines: list[str]) -> None:
    async with serving() as served, served.client() as client:
        reply = await client.ask(event("1", b"", *lines) + event("2"))
        assert (reply.status, reply.closes) == (202, True)
        assert await client.rest() == b""
        assert served.broker.ids == ["1"]


async def test_upgrades_are_ignored() -> None:
    async with serving() as served, served.client() as client:
        lines = [
            "connection: Upgrade, HTTP2-Settings",
            "upgrade: h2c",
            "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA",
        ]
        reply = await client.ask(event("1", b"{}", *lines))
        assert (reply.status, reply.closes) == (202, False)
        assert (await client.ask(event("2"))).status == 202
        assert served.broker.ids == ["1", "2"]


async def test_a_refused_body_that_has_come_is_skipped() -> None:
    async with serving() as served, served.client() as client:
        hidden = event("smuggled")
        lines = [*event_lines(), f"content-length: {len(hidden)}"]
        reply = await client.ask(head(*lines, path="/no/where") + hidden)
        assert (reply.status, reply.closes) == (404, False)
        assert (await client.ask(event("2"))).status == 202
        assert served.broker.ids == ["2"]


async def test_a_refused_body_that_is_still_coming_closes_the_connection_but_the_answer_arrives() -> None:
    async with serving() as served, served.client() as client:
        client.send(head(*event_lines(), "content-length: 5000000"), b"x" * 5_000_000)
        reply = await client.reply()
        assert (reply.status, reply.closes) == (413, True)
        assert "5000000" in reply.detail
        assert "1048576" in reply.detail
        assert served.broker.calls == 0
        [connection] = served.listener._connections
        assert connection._buffer == b""


async def test_an_answer_sees_a_client_that_has_closed_its_side() -> None:
    async with serving() as served, served.client() as client:
        client.send(event("1") + event("2"))
        client.writer.write_eof()
        assert [(await client.reply()).status for _ in range(2)] == [202, 202]
        assert await client.rest() == b""
        assert served.broker.ids == ["1", "2"]


async def test_half_a_request_and_a_closed_side_end_the_connection() -> None:
    async with serving() as served, served.client() as client:
        client.send(event("1") + event("2")[:-1])
        client.writer.write_eof()
        assert (await client.reply()).status == 202
        assert await client.rest() == b""
        assert served.broker.ids == ["1"]
        assert served.endpoint.in_hand.bytes == 0


async def test_a_client_that_leaves_loses_its_answer_not_its_event() -> None:
    async with serving() as served:
        served.broker.hold = True
        async with served.client() as client:
            client.send(event("1"))
            await until(lambda: served.broker.calls == 1)
            client.reset()
            await served.listener.closed()
        assert (served.counters.abandoned, served.counters.late) == (1, 0)
        assert served.endpoint.in_hand.requests == 1
        served.broker.finish()
        assert (served.counters.late, served.counters.accepted) == (1, 0)
        assert (served.endpoint.in_hand.requests, served.endpoint.in_hand.bytes) == (0, 0)


async def test_a_client_that_closes_politely_is_counted_once() -> None:
    async with serving() as served:
        served.broker.hold = True
        async with served.client() as client:
            client.send(event("1"))
            await until(lambda: served.broker.calls == 1)
        await until(lambda: served.counters.abandoned == 1)
        served.broker.finish()
        await served.listener.closed()
        assert served.counters.abandoned == 1
        assert served.endpoint.in_hand.requests == 0


async def test_a_client_that_closes_politely_and_then_breaks_is_counted_once() -> None:
    async with serving() as served:
        served.broker.hold = True
        async with served.client() as client:
            client.send(event("1"))
            await until(lambda: served.broker.calls == 1)
        await until(lambda: served.counters.abandoned == 1)
        await served.listener.close()
        assert served.counters.abandoned == 1
        served.broker.finish()
        assert served.counters.late == 1


async def test_a_client_that_leaves_in_a_body_gives_its_memory_back() -> None:
    async with serving() as served:
        async with served.client() as client:
            client.send(event("1", b"x" * 1_000)[:-1])
            await until(lambda: served.endpoint.in_hand.bytes == 999)
        await served.listener.closed()
        assert served.endpoint.in_hand.bytes == 0
        assert served.counters.abandoned == 0


async def test_a_client_that_does_not_read_its_answers_is_not_read_either() -> None:
    async with serving() as served, served.client() as client:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the stream has no word for it
        await until(lambda: bool(served.listener._connections))
        [connection] = served.listener._connections
        connection._transport.set_write_buffer_limits(high=0)
        request = head(method="GET", path="/" + "x" * 20_000)
        sent = 0
        while connection._writable and sent < 100_000:
            client.send(request * 20)
            sent += 20
            async with served.client() as other:
                await other.ask(head(method="GET"))
        assert not connection._writable
        answered = served.counters.responses[405]
        client.send(event("1"))
        async with served.client() as other:
            await other.ask(head(method="GET"))
        assert served.counters.responses[405] <= answered + 1
        assert served.broker.calls == 0
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(sent):
            assert (await client.reply()).status == 405
        assert (await client.reply()).status == 202


def test_requests_behind_an_unread_answer_wait_in_the_buffer() -> None:
    connection = Connection(Home(Recorder()))
    wire = Wire()
    connection.connection_made(wire)
    wire.after_write = connection.pause_writing
    connection.data_received(head(method="GET") * 3)
    for answered in (1, 2, 3):
        assert wire.written.count(b"HTTP/1.1 405") == answered
        assert wire.paused
        connection.resume_writing()
    assert not wire.paused


async def test_the_mode_of_the_body_is_the_content_types_business() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(structured("s"))).status == 202
        assert served.broker.ids == ["s"]


async def test_a_limit_on_headers_is_431() -> None:
    limits = IngressLimits(max_headers=8, max_header_bytes=100, max_headers_bytes=400)
    for lines in (["x: 1"] * 8, ["x: " + "y" * 100], [f"x{index}: " + "y" * 80 for index in range(5)]):
        async with serving(limits) as served, served.client() as client:
            reply = await client.ask(head(*lines))
            assert (reply.status, reply.closes) == (431, True)
            assert "limit" in reply.detail
    async with serving(limits) as served, served.client() as client:
        assert (
            await client.ask(head(*event_lines(), "x: " + "y" * 99, "z: 1", "content-length: 0"))
        ).status == 202
