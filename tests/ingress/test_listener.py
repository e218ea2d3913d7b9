"""Sockets: TLS, sharing a port, draining, closing."""

import asyncio
import socket
import ssl

import pytest
import trustme

from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener
from mesh_gateway.ingress.protocol import Connection
from tests.ingress.serving import PATIENCE, Client, StubBroker, event, event_lines, head, serving, until


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server, client)"""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def test_events_come_in_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with serving(tls=contexts[0]) as served, served.client(contexts[1]) as client:
        assert (await client.ask(event("1", b"x" * 100_000))).status == 202
        reply = await client.ask(head(*event_lines(), "content-length: 5000000"))
        assert (reply.status, reply.closes) == (413, True)
        assert served.broker.ids == ["1"]


async def test_plain_http_on_a_tls_port_reaches_no_broker(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with serving(tls=contexts[0]) as served, served.client() as client:
        client.send(event())
        await client.rest()
        assert served.broker.calls == 0


async def test_tls_on_a_plain_port_is_refused_at_once() -> None:
    async with serving() as served, served.client() as client:
        assert "TLS" in (await client.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")).detail


async def test_two_listeners_may_share_a_port() -> None:
    listeners = [Listener(Endpoint({}, IngressLimits(), IngressCounters(), lambda: True)) for _ in range(2)]
    port = await listeners[0].open("127.0.0.1", 0, reuse_port=True)
    assert await listeners[1].open("127.0.0.1", port, reuse_port=True) == port
    for listener in listeners:
        await listener.close()


async def test_a_port_that_is_taken_is_an_os_error() -> None:
    async with serving() as served:
        with pytest.raises(OSError, match="in use"):
            await Listener(served.endpoint).open("127.0.0.1", served.port)


async def test_draining_closes_idle_connections_and_takes_no_new_ones() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(event())).status == 202
        await served.listener.drain()
        served.sweep_in(1.5)
        assert await client.rest() == b""
        await client.leave()
        await served.listener.closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)


async def test_draining_waits_for_what_was_read_and_answers_it() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1"))
        await until(lambda: served.broker.calls == 1)
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(served.listener.drain())
            await until(lambda: served.endpoint.draining)
            assert not draining.done()
            served.broker.finish()
            reply = await client.reply()
            assert (reply.status, reply.closes) == (202, True)
        await client.leave()
        await served.listener.closed()


async def test_draining_ends_when_the_store_does_not_answer() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1"))
        await until(lambda: served.broker.calls == 1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(served.listener.drain())
            await until(lambda: served.endpoint.draining)
            served.sweep_in(5.5)
            reply = await client.reply()
            assert (reply.status, reply.closes) == (503, True)
        served.broker.finish()
        assert served.counters.late == 1


@pytest.mark.parametrize("cut", [10, -1])
async def test_a_request_that_arrives_while_draining_is_503(cut: int) -> None:
    async with serving() as served, served.client() as client:
        request = event("1", b"12345")
        client.send(request[:cut])
        await until(lambda: any(c._buffer or c._held for c in served.listener._connections))
        await served.listener.drain()
        reply = await client.ask(request[cut:])
        assert (reply.status, reply.headers["retry-after"], reply.closes) == (503, "1", True)
        assert served.broker.calls == 0
        assert served.endpoint.in_hand.bytes == 0


async def test_who_sends_on_an_idle_connection_while_draining_is_answered_and_told_to_close_it() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(event("1"))).status == 202
        await served.listener.drain()
        reply = await client.ask(event("2"))
        assert (reply.status, reply.closes) == (503, True)
        assert served.broker.ids == ["1"]


async def test_a_connection_that_waits_to_be_accepted_when_draining_begins_is_answered() -> None:
    async with serving() as served:
        with socket.create_connection(("127.0.0.1", served.port)) as early:  # the loop has not seen it yet
            early.sendall(event("1"))
            await served.listener.drain()
            reader, writer = await asyncio.open_connection(sock=early)
            reply = await Client(reader, writer).reply()
            assert (reply.status, reply.closes) == (503, True)
            writer.close()


async def test_a_connection_that_was_accepted_and_not_yet_begun_when_draining_begins_is_closed_like_the_others() -> (
    None
):
    async with serving() as served:
        accepted = Connection(served.listener)  # the loop makes it, and begins it in a later turn
        await served.listener.drain()
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().connect_accepted_socket(lambda: accepted, ours)
        reader, writer = await asyncio.open_connection(sock=theirs)
        served.sweep_in(1.5)
        assert await Client(reader, writer).rest() == b""
        writer.close()


async def test_a_request_that_crosses_the_end_of_an_idle_connection_is_not_reset() -> None:
    async with serving() as served, served.client() as client:
        assert (await client.ask(event("1"))).status == 202
        await served.listener.drain()
        served.sweep_in(1.5)
        client.send(event("2"))
        assert await client.reader.read() == b""  # a reset would raise
        assert served.broker.ids == ["1"]


async def test_while_draining_nobody_waits_long_for_the_rest_of_a_request() -> None:
    async with serving() as served, served.client() as client:
        await served.listener.drain()
        client.send(event("1")[:10])
        await until(lambda: any(c._buffer for c in served.listener._connections))
        served.sweep_in(1.5)
        reply = await client.reply()
        assert (reply.status, reply.closes) == (503, True)


async def test_while_draining_a_body_is_not_even_asked_for() -> None:
    async with serving() as served, served.client() as client:
        request = head(*event_lines(), "content-length: 9", "expect: 100-continue")
        client.send(request[:10])
        await until(lambda: any(c._buffer for c in served.listener._connections))
        await served.listener.drain()
        reply = await client.ask(request[10:])
        assert (reply.status, reply.closes) == (503, True)


async def test_closing_ends_connections_that_wait_and_may_be_repeated() -> None:
    async with serving() as served, served.client() as client:
        served.broker.hold = True
        client.send(event("1"))
        await until(lambda: served.broker.calls == 1)
        async with asyncio.timeout(PATIENCE):
            await served.listener.close()
            await served.listener.close()
        assert await client.rest() == b""
        assert served.counters.abandoned == 1
        served.broker.finish()


async def test_an_unused_listener_can_be_closed() -> None:
    await Listener(Endpoint({"a/b": StubBroker()}, IngressLimits(), IngressCounters(), lambda: True)).close()


async def test_the_sweep_runs_by_itself() -> None:
    limits = IngressLimits(idle_timeout=0.0)
    async with serving(limits, kind=Listener) as served, served.client() as client:
        assert await client.rest() == b""
