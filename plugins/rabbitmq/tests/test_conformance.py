"""RabbitMQ passes the kit, on a real server, also when it restarts and when the way to it breaks."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from mesh_gateway_rabbitmq.options import RabbitOptions
from mesh_gateway_rabbitmq.transport import RabbitTransport

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import ChannelSpec, TransportContext
from plugins.rabbitmq.tests.beside import Operator
from tests.transports import RABBITMQ

URL = os.environ.get("MESH_TEST_RABBITMQ", "")
NOBODYS = "nobody-secret"
REQUIRED = os.environ.get("MESH_REQUIRE_SERVICES") == "1"

pytestmark = pytest.mark.skipif(
    not URL and not REQUIRED, reason="no RabbitMQ: run scripts/services up rabbitmq and eval its env"
)


@pytest.fixture(scope="module")
async def nobody() -> AsyncIterator[str]:
    """A user who is let in and may do nothing; gone afterwards."""
    operator = Operator(os.environ["MESH_TEST_RABBITMQ_API"], URL, "%2F")
    name = f"nobody-{uuid.uuid4().hex[:8]}"
    await operator.ask("PUT", f"users/{name}", {"password": NOBODYS, "tags": ""})
    await operator.ask("PUT", f"permissions/%2F/{name}", dict.fromkeys(("configure", "write", "read"), "^$"))
    try:
        yield name
    finally:
        await operator.ask("DELETE", f"users/{name}")


class TestRabbitTransport(TransportConformance):
    @pytest.fixture(autouse=True)
    def _users(self, nobody: str) -> None:
        self.nobody = nobody

    async def harness(self) -> Harness:
        prefix = f"kit-{uuid.uuid4().hex[:8]}"

        def make(url: str = URL, **more: Any) -> RabbitTransport:
            # A server that hangs is noticed after two heartbeats: two seconds instead of twenty.
            options = {"url": url, "prefix": prefix, "heartbeat": 1} | more
            return RabbitTransport(RabbitOptions.model_validate(options), TransportContext("rabbit", None))

        async def drift(spec: ChannelSpec) -> None:
            operator = Operator(os.environ["MESH_TEST_RABBITMQ_API"], URL, "%2F")
            [queue] = [name for name in await operator.queues(prefix) if spec.broker in name]
            await operator.delete_queue(queue)
            classic = {"durable": True, "arguments": {"x-queue-type": "classic"}}
            await operator.ask("PUT", f"queues/%2F/{queue}", classic)

        async def stop() -> None:
            # In order: a single node of RabbitMQ 4.0 that is killed within seconds of a quorum queue's declaration
            # does not know that queue any more. `tests/faults/test_transports.py` kills it, once it is older.
            await RABBITMQ.service("stop")

        async def start() -> None:
            await RABBITMQ.service("start")

        where = urlsplit(URL)
        return Harness(
            make=make,
            patience=20,
            options_model=RabbitOptions,
            drift=drift,
            stop_server=stop,
            start_server=start,
            address=(where.hostname or "", where.port or 0),
            through=lambda proxy: make(f"amqp://guest:guest@{proxy.address[0]}:{proxy.address[1]}/"),
            secrets=("guest-wrong", NOBODYS),
            denied={
                "unknown host": lambda: make("amqp://nowhere.invalid/"),
                "wrong password": lambda: make(password="guest-wrong"),
                "missing permission": lambda: make(username=self.nobody, password=NOBODYS),
            },
        )
