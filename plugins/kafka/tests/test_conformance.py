"""Kafka passes the kit, on a real broker, also when it is killed and when the way to it breaks."""

from __future__ import annotations

import os
import uuid
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from mesh_gateway_kafka.options import KafkaOptions
from mesh_gateway_kafka.transport import KafkaTransport

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import ChannelSpec, TransportContext
from tests.transports import KAFKA

SERVERS = os.environ.get("MESH_TEST_KAFKA", "")
SASL = os.environ.get("MESH_TEST_KAFKA_SASL", "")
LISTENS, ADVERTISED = os.environ.get("MESH_TEST_KAFKA_PROXIED", "127.0.0.1:1,127.0.0.1:1").split(",")
"""Kafka's clients go where the server says it is: on this listener it says that it is where the proxy will be."""
REQUIRED = os.environ.get("MESH_REQUIRE_SERVICES") == "1"

pytestmark = pytest.mark.skipif(
    not SERVERS and not REQUIRED, reason="no Kafka: run scripts/services up kafka and eval its env"
)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
class TestKafkaTransport(TransportConformance):
    @pytest.fixture(scope="session")
    @classmethod
    def anyio_backend(cls) -> tuple[str, dict[str, bool]]:
        """asyncio's own loop: closing uvloop's may wait for ever for a connection that aiokafka has left behind when its
        broker was killed. The scenarios and faults of `tests/` run Kafka on uvloop, in a process of its own.
        """
        return "asyncio", {"use_uvloop": False}

    async def harness(self) -> Harness:
        own = f"kit-{uuid.uuid4().hex[:8]}"

        def make(servers: str = SERVERS, **more: Any) -> KafkaTransport:
            options = {
                "bootstrapServers": servers,
                "partitions": 3,
                "topic": own + "-{namespace}-{broker}",
                "group": own + ".{namespace}.{broker}",
            }
            context = TransportContext("kafka", None)
            return KafkaTransport(KafkaOptions.model_validate(options | more), context)

        def user(name: str, password: str) -> KafkaTransport:
            return make(SASL, sasl={"username": name, "password": password, "mechanism": "PLAIN"})

        async def kill() -> None:
            await KAFKA.service("kill")

        async def start() -> None:
            await KAFKA.service("start")

        async def drift(spec: ChannelSpec) -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=SERVERS)
            await admin.start()
            topic = f"{own}-{spec.namespace}-{spec.broker}"
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": "compact"})]
            )
            await admin.close()

        host, _, port = LISTENS.rpartition(":")
        return Harness(
            make=make,
            patience=20,
            options_model=KafkaOptions,
            address=(host, int(port)),
            proxy_port=int(ADVERTISED.rpartition(":")[2]),
            through=lambda proxy: make(f"{proxy.address[0]}:{proxy.address[1]}"),
            stop_server=kill,
            start_server=start,
            drift=drift,
            secrets=("mesh-wrong", "nobody-secret"),
            denied={
                "unknown host": lambda: make("nowhere.invalid:9092"),
                "wrong password": lambda: user("mesh", "mesh-wrong"),
                "missing permission": lambda: user("nobody", "nobody-secret"),
            },
        )
