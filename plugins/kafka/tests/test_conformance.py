"""Kafka passes the kit, on a real broker."""

from __future__ import annotations

import os
import uuid

import pytest
from mesh_gateway_kafka.options import KafkaOptions
from mesh_gateway_kafka.transport import KafkaTransport

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import TransportContext

SERVERS = os.environ.get("MESH_TEST_KAFKA", "")
REQUIRED = os.environ.get("MESH_REQUIRE_SERVICES") == "1"

pytestmark = pytest.mark.skipif(
    not SERVERS and not REQUIRED, reason="no Kafka: run scripts/services up kafka and eval its env"
)


class TestKafkaTransport(TransportConformance):
    async def harness(self) -> Harness:
        own = f"kit-{uuid.uuid4().hex[:8]}"
        options = KafkaOptions(
            bootstrapServers=SERVERS,
            partitions=3,
            topic=own + "-{namespace}-{broker}",
            group=own + ".{namespace}.{broker}",
        )
        return Harness(make=lambda: KafkaTransport(options, TransportContext("kafka", None)), patience=20)
