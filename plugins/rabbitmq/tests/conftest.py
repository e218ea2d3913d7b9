"""Transports over the real server, in a virtual host of each module's own, with names of each test's own."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from mesh_gateway_rabbitmq.options import RabbitOptions
from mesh_gateway_rabbitmq.transport import RabbitTransport

from mesh_gateway.errors import TransportError
from mesh_gateway.transport.contract import TransportContext
from plugins.rabbitmq.tests.beside import Operator


def server(variable: str = "MESH_TEST_RABBITMQ") -> str:
    """Where the server is. Skips aloud without one, fails where servers are required."""
    found = os.environ.get(variable, "")
    if not found:
        if os.environ.get("MESH_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{variable} is not set: scripts/services up rabbitmq")
        pytest.skip(f"{variable} is not set: scripts/services up rabbitmq, then eval its env")
    return found


@pytest.fixture(scope="module")
async def operator() -> AsyncIterator[Operator]:
    """A virtual host for one module of tests; it is gone afterwards."""
    found = Operator(server("MESH_TEST_RABBITMQ_API"), server(), f"t{uuid.uuid4().hex[:10]}")
    await found.ask("PUT", f"vhosts/{found.vhost}", {"description": "of a test; may be deleted"})
    try:
        yield found
    finally:
        await found.ask("DELETE", f"vhosts/{found.vhost}")


@pytest.fixture
def own() -> str:
    """A prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def unreadable() -> list[tuple[str, str]]:
    """What transports reported as unreadable."""
    return []


@pytest.fixture
def lost() -> list[TransportError]:
    """Which losses of connections transports told by themselves."""
    return []


@pytest.fixture
async def make(
    own: str, operator: Operator, unreadable: list[tuple[str, str]], lost: list[TransportError]
) -> AsyncIterator[Callable[..., RabbitTransport]]:
    """Makes transports; they are closed at the end."""
    made: list[RabbitTransport] = []

    def transport(**options: Any) -> RabbitTransport:
        given = {"url": operator.url, "prefix": own}
        context = TransportContext(
            "rabbit", None, on_unreadable=lambda *found: unreadable.append(found), on_lost=lost.append
        )
        made.append(RabbitTransport(RabbitOptions(**given | options), context))
        return made[-1]

    yield transport
    for one in made:
        await one.close()
