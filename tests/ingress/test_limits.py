"""Memory and time that clients may use."""

import pytest

from mesh_gateway.ingress.limits import IngressLimits
from mesh_gateway.ingress.protocol import Connection
from tests.ingress.memory import Home, Recorder, Wire
from tests.ingress.serving import chunked, event, event_lines, head, serving, until


@pytest.mark.parametrize("request_bytes", [event("1", b"x" * 101), chunked("1", b"x" * 60, b"x" * 41)])
async def test_an_event_one_byte_over_the_limit_is_413(request_bytes: bytes) -> None:
    async with serving(IngressLimits(max_event_bytes=100)) as served, served.client() as client:
        assert (await client.ask(request_bytes)).status == 413
        assert served.broker.calls == 0
        assert served.endpoint.in_hand.bytes == 0


@pytest.mark.parametrize("request_bytes", [event("1", b"x" * 100), chunked("1", b"x" * 60, b"x" * 40)])
async def test_an_event_at_the_limit_is_stored(request_bytes: bytes) -> None:
    async with serving(IngressLimits(max_event_bytes=100)) as served, served.client() as client:
        assert (await client.ask(request_bytes)).status == 202


async def test_a_chunked_body_is_refused_when_a_chunk_is_announced_not_when_it_has_come() -> None:
    async with serving(IngressLimits(max_event_bytes=100)) as served, served.client() as client:
        reply = await client.ask(head(*event_lines(), "transfer-encoding: chunked") + b"FFFFFFF\r\n")
        assert (reply.status, reply.closes) == (413, True)


async def test_a_chunked_body_is_refused_when_its_chunks_together_are_too_large() -> None:
    async with serving(IngressLimits(max_event_bytes=100)) as served, served.client() as client:
        first = b"3C\r\n" + b"x" * 60 + b"\r\n"
        reply = await client.ask(head(*event_lines(), "transfer-encoding: chunked") + first + b"29\r\n")
        assert (reply.status, reply.closes) == (413, True)


async def test_without_room_a_body_is_not_even_asked_for() -> None:
    limits = IngressLimits(max_pending_bytes=100)
    async with serving(limits) as served, served.client() as client:
        reply = await client.ask(head(*event_lines(), "content-length: 101", "expect: 100-continue"))
        assert (reply.status, reply.closes) == (429, True)


async def test_too_many_requests_in_hand_are_429_until_one_is_durable() -> None:
    async with serving(IngressLimits(max_requests=1)) as served:
        served.broker.hold = True
        async with served.client() as first, served.client() as second:
            first.send(event("1"))
            await until(lambda: served.broker.calls == 1)
            reply = await second.ask(event("2"))
            assert (reply.status, reply.headers["retry-after"], reply.closes) == (429, "1", False)
            served.broker.finish()
            assert (await first.reply()).status == 202
            second.send(event("2"))
            await until(lambda: served.broker.calls == 2)
            served.broker.finish()
            assert (await second.reply()).status == 202


async def test_too_many_bytes_in_hand_are_429() -> None:
    async with serving(IngressLimits(max_pending_bytes=1_000)) as served:
        served.broker.hold = True
        async with served.client() as first, served.client() as second:
            first.send(event("1", b"x" * 600))
            await until(lambda: served.broker.calls == 1)
            assert (await second.ask(event("2", b"x" * 401))).status == 429
            second.send(event("3", b"x" * 400))
            await until(lambda: served.broker.calls == 2)
            assert served.endpoint.in_hand.bytes == 1_000
            served.broker.finish()
            served.broker.finish()
            assert (await first.reply()).status == (await second.reply()).status == 202
            assert served.endpoint.in_hand.bytes == 0


@pytest.mark.parametrize(
    ("framing", "half"),
    [("content-length: 600", b"x" * 500), ("transfer-encoding: chunked", b"258\r\n" + b"x" * 500)],
)
async def test_bodies_that_are_still_coming_count(framing: str, half: bytes) -> None:
    async with serving(IngressLimits(max_pending_bytes=1_000)) as served:
        async with served.client() as first, served.client() as second:
            for client in (first, second):
                reply = await client.ask(head(*event_lines(), framing, "expect: 100-continue"))
                assert reply.status == 100
            first.send(half)
            await until(lambda: served.endpoint.in_hand.bytes == 500)
            second.send(half)
            await until(lambda: served.endpoint.in_hand.bytes == 1_000)
            reply = await first.ask(b"x")
            assert (reply.status, reply.closes) == (429, True)
            assert served.endpoint.in_hand.bytes == 500
        await served.listener.closed()
        assert served.endpoint.in_hand.bytes == 0


async def test_slow_bodies_do_not_use_up_the_requests() -> None:
    limits = IngressLimits(max_requests=1)
    async with serving(limits) as served, served.client() as slow, served.client() as other:
        slow.send(event("1", b"12345")[:-1])
        await until(lambda: served.endpoint.in_hand.bytes == 4)
        assert (await other.ask(event("2"))).status == 202
        assert (await slow.ask(b"5")).status == 202


async def test_a_slow_body_that_ends_when_all_are_busy_is_429() -> None:
    async with serving(IngressLimits(max_requests=1)) as served:
        served.broker.hold = True
        async with served.client() as slow, served.client() as other:
            slow.send(event("1", b"12345")[:-1])
            await until(lambda: served.endpoint.in_hand.bytes == 4)
            other.send(event("2"))
            await until(lambda: served.broker.calls == 1)
            reply = await slow.ask(b"5")
            assert (reply.status, reply.closes) == (429, False)
            served.broker.finish()
            assert (await other.reply()).status == 202


async def test_a_head_that_trickles_ends_with_408_after_its_time() -> None:
    async with serving() as served, served.client() as client:
        client.send(b"POST /shop/orders HTTP/1.1\r\n")
        await until(lambda: any(c._buffer for c in served.listener._connections))
        served.sweep_in(9.0)
        assert served.counters.responses == {}
        served.sweep_in(10.5)
        reply = await client.reply()
        assert (reply.status, reply.closes) == (408, True)
        assert served.counters.refused == {"slow": 1}


def test_more_bytes_do_not_move_a_deadline() -> None:
    home = Home(Recorder())
    connection = Connection(home)
    connection.connection_made(Wire())
    request = event("1", b"12345")
    deadlines = []
    for piece in (request[:5], request[5:20], request[20:-4], request[-4:-1]):
        connection.data_received(piece)
        deadlines.append(connection.deadline)
        home.now += 4.0
    # The head began at 0 and was complete at 8.
    assert deadlines == [10.0, 10.0, 38.0, 38.0]


async def test_a_body_that_trickles_ends_with_408_after_its_time() -> None:
    async with serving() as served, served.client() as client:
        client.send(event("1", b"12345")[:-1])
        await until(lambda: served.endpoint.in_hand.bytes == 4)
        served.sweep_in(29.0)
        assert served.counters.responses == {}
        served.sweep_in(30.5)
        assert (await client.reply()).status == 408
        assert served.endpoint.in_hand.bytes == 0


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(event())).status == 202
        served.sweep_in(59.0)
        assert (await client.ask(event())).status == 202
        served.sweep_in(60.5)
        assert await client.rest() == b""
        assert served.counters.responses == {202: 2}


async def test_a_store_that_does_not_answer_in_time_is_503_and_the_event_may_be_stored() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1"))
        await until(lambda: served.broker.calls == 1)
        served.sweep_in(4.5)
        assert served.counters.responses == {}
        served.sweep_in(5.5)
        reply = await client.reply()
        assert (reply.status, reply.headers["retry-after"], reply.closes) == (503, "1", False)
        assert "may be stored" in reply.detail
        assert served.endpoint.in_hand.requests == 1
        client.send(event("2"))
        await until(lambda: served.broker.calls == 2)
        served.broker.finish()  # the first: too late for its producer, and not the second's answer
        assert served.counters.late == 1
        assert served.counters.responses == {503: 1}
        served.broker.finish()
        assert (await client.reply()).status == 202
        assert served.endpoint.in_hand.requests == 0


async def test_a_client_that_never_closes_after_its_last_answer_is_cut_off() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(event("1", b"", "connection: close"))).status == 202
        assert len(served.listener._connections) == 1
        served.sweep_in(2.5)
        await served.listener.closed()


async def test_one_connection_too_many_is_told_so_and_closed() -> None:
    async with serving(IngressLimits(max_connections=1)) as served:
        async with served.client() as first:
            assert (await first.ask(event("1"))).status == 202
            async with served.client() as second:
                reply = await second.reply()
                assert (reply.status, reply.headers["retry-after"], reply.closes) == (503, "1", True)
                assert await second.rest() == b""
            assert (await first.ask(event("2"))).status == 202
        await served.listener.closed()
        async with served.client() as third:
            assert (await third.ask(event("3"))).status == 202
