"""TLS towards a subscriber: verified, with its own authorities and certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.sink import ACCEPTED, Outcome, Retry
from mesh_gateway.event import Event

EVENT = Event.new(type="t", source="/s", id="1")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


@asynccontextmanager
async def serving(authority: trustme.CA, *names: str, client: trustme.CA | None = None) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    if client is not None:
        client.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            await reader.read()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def deliver(settings: HttpSettings) -> Outcome:
    sink = HttpSink(settings)
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    sink.send(EVENT, None, lambda context, outcome: ended.set_result(outcome))
    try:
        async with asyncio.timeout(10):
            return await ended
    finally:
        await sink.close()


async def test_a_subscriber_of_a_known_authority_is_delivered_to(authority):
    async with serving(authority, "localhost", "127.0.0.1") as port:
        assert (
            await deliver(HttpSettings(f"https://127.0.0.1:{port}/", ca_certificates=pem(authority)))
            is ACCEPTED
        )


async def test_an_unknown_authority_is_not_trusted(authority):
    async with serving(authority, "127.0.0.1") as port:
        outcome = await deliver(HttpSettings(f"https://127.0.0.1:{port}/", ca_certificates=pem(trustme.CA())))

    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("tls: certificate verify failed")


async def test_another_hosts_certificate_is_not_accepted(authority):
    async with serving(authority, "other.example") as port:
        outcome = await deliver(HttpSettings(f"https://127.0.0.1:{port}/", ca_certificates=pem(authority)))

    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("tls: certificate verify failed")


async def test_verification_can_be_switched_off_for_one_destination(authority):
    async with serving(authority, "other.example") as port:
        assert (
            await deliver(HttpSettings(f"https://127.0.0.1:{port}/", insecure_skip_verify=True)) is ACCEPTED
        )


async def test_a_client_certificate_is_presented(authority, tmp_path: Path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("gateway@example.com")
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    async with serving(authority, "127.0.0.1", client=authority) as port:
        settings = HttpSettings(
            f"https://127.0.0.1:{port}/",
            ca_certificates=pem(authority),
            client_certificate=(certificate, key),
        )

        assert await deliver(settings) is ACCEPTED


async def test_a_server_that_speaks_no_tls_is_a_failed_attempt(authority):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await deliver(HttpSettings(f"https://127.0.0.1:{port}/"))
    server.close()
    await server.wait_closed()

    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("tls: ")
