"""RabbitMQ passes the kit, on a real server."""

from __future__ import annotations

import os
import uuid

import pytest
from mesh_gateway_rabbitmq.options import RabbitOptions
from mesh_gateway_rabbitmq.transport import RabbitTransport

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import TransportContext

URL = os.environ.get("MESH_TEST_RABBITMQ", "")
REQUIRED = os.environ.get("MESH_REQUIRE_SERVICES") == "1"

pytestmark = pytest.mark.skipif(
    not URL and not REQUIRED, reason="no RabbitMQ: run scripts/services up rabbitmq and eval its env"
)


class TestRabbitTransport(TransportConformance):
    async def harness(self) -> Harness:
        options = RabbitOptions.model_validate({"url": URL, "prefix": f"kit-{uuid.uuid4().hex[:8]}"})
        return Harness(make=lambda: RabbitTransport(options, TransportContext("rabbit", None)))
