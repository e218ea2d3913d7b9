"""Transports over the real broker, with topics and groups of each test's own."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from mesh_gateway_kafka.options import KafkaOptions
from mesh_gateway_kafka.transport import KafkaTransport

from mesh_gateway import native
from mesh_gateway.transport.contract import TransportContext


def server(variable: str = "MESH_TEST_KAFKA") -> str:
    """Where the server is. Skips aloud without one, fails where servers are required."""
    found = os.environ.get(variable, "")
    if not found:
        if os.environ.get("MESH_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{variable} is not set: scripts/services up kafka")
        pytest.skip(f"{variable} is not set: scripts/services up kafka, then eval its env")
    return found


@pytest.fixture
def servers() -> str:
    return server()


@pytest.fixture
def own() -> str:
    """A prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def unreadable() -> list[tuple[str, str]]:
    """What transports reported as unreadable."""
    return []


@pytest.fixture(params=["native", "python"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches read and written by the native part where it can, and all of them without."""
    if request.param == "python":
        monkeypatch.setattr(native, "PARTS", native.Parts())
    elif native.PARTS.usual_records is None:
        pytest.skip(str(native.PARTS))


@pytest.fixture
async def make(own: str, unreadable: list[tuple[str, str]]) -> AsyncIterator[Callable[..., KafkaTransport]]:
    """Makes transports; they are closed at the end."""
    made: list[KafkaTransport] = []

    def transport(**options: Any) -> KafkaTransport:
        given = {
            "bootstrapServers": os.environ.get("MESH_TEST_KAFKA", ""),
            "partitions": 3,
            "topic": own + "-{namespace}-{broker}",
            "group": own + ".{namespace}.{broker}",
        }
        context = TransportContext("kafka", None, on_unreadable=lambda *found: unreadable.append(found))
        made.append(KafkaTransport(KafkaOptions(**given | options), context))
        return made[-1]

    yield transport
    for one in made:
        await one.close()
