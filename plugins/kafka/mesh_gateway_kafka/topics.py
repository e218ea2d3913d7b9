"""Topics: made, looked at, trimmed. Whatever differs from the documents is told as `Drift`, never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from mesh_gateway.errors import ConnectionLost, TransportError
from mesh_gateway.transport.contract import Drift
from mesh_gateway_kafka import faults

CREATE_SECONDS = 10.0
"""For a created topic to have leaders everywhere: metadata travels to all brokers after the creation is answered."""

EXISTS = 36
UNKNOWN = 3
AUTHORIZATION = 29


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as the documents want it. `config` holds only what they name."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


async def describe(admin: AIOKafkaAdminClient, topic: str) -> dict[str, Any] | None:
    """The topic's metadata, None if there is no such topic. Raises `TransportError`."""
    try:
        [found] = await admin.describe_topics([topic])
    except errors.KafkaError as error:
        raise faults.meant(error, f"look at topic {topic}") from error
    if found["error_code"] == UNKNOWN:
        return None
    if found["error_code"] == AUTHORIZATION:
        raise faults.by_code(AUTHORIZATION, f"look at topic {topic} (Describe)")
    return dict(found)


async def create(admin: AIOKafkaAdminClient, wanted: Wanted) -> None:
    """Make the topic unless it is there, and wait until every partition has a leader. Raises `TransportError`."""
    topic = NewTopic(wanted.name, wanted.partitions, wanted.replication, topic_configs=dict(wanted.config))
    try:
        answer = await admin.create_topics([topic])
    except errors.KafkaError as error:
        raise faults.meant(error, f"create topic {wanted.name}") from error
    for _, code, message in answer.topic_errors:
        if code not in (0, EXISTS):
            if code == AUTHORIZATION or not message:
                raise faults.by_code(code, f"create topic {wanted.name} (Create)")
            raise TransportError(f"Kafka did not create topic {wanted.name}: {message}")
    try:
        async with asyncio.timeout(CREATE_SECONDS):
            while not _led(await describe(admin, wanted.name)):  # noqa: ASYNC110  # the cluster tells nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise ConnectionLost(f"topic {wanted.name} has no leaders after {CREATE_SECONDS:g} s") from None


def _led(found: dict[str, Any] | None) -> bool:
    return found is not None and all(part["leader"] >= 0 for part in found["partitions"])


async def drift(
    admin: AIOKafkaAdminClient, channel: str, wanted: Wanted, found: Mapping[str, Any], max_record_bytes: int
) -> list[Drift]:
    """How the topic differs from its document, and what in it would lose events."""
    drifts: list[Drift] = []

    def differs(what: str, wants: object, has: object, hint: str) -> None:
        drifts.append(Drift(channel, f"{what} of topic {wanted.name}", str(wants), str(has), hint))

    partitions, replicas = (
        len(found["partitions"]),
        min(len(part["replicas"]) for part in found["partitions"]),
    )
    if partitions != wanted.partitions:
        differs(
            "partitions", wanted.partitions, partitions, "say what it has, or add partitions (keys then move)"
        )
    if replicas < wanted.replication:
        differs("replication factor", wanted.replication, replicas, "reassign its partitions to more brokers")
    config = await configuration(admin, wanted.name)
    for name, value in sorted(wanted.config.items()):
        if config.get(name, value) != value:
            differs(name, value, config[name], f"kafka-configs --alter --add-config {name}={value}")
    if "compact" in config.get("cleanup.policy", ""):
        differs(
            "cleanup.policy",
            "delete",
            config["cleanup.policy"],
            "a compacted topic forgets events of the same key",
        )
    largest = int(config.get("max.message.bytes", max_record_bytes))
    if largest < max_record_bytes:
        differs(
            "max.message.bytes",
            max_record_bytes,
            largest,
            "lower the option maxRecordBytes, or raise it there",
        )
    return drifts


async def configuration(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """The topic's settings; none where we may not see them (DescribeConfigs)."""
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    except errors.KafkaError as error:
        raise faults.meant(error, f"look at the settings of topic {topic}") from error
    found: dict[str, str] = {}
    for code, _, _, _, entries in answer.resources:
        if code == 0:
            found |= {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return found


async def trim(admin: AIOKafkaAdminClient, offsets: Mapping[TopicPartition, int]) -> None:
    """Delete what lies before these offsets. Raises `KafkaError`."""
    await admin.delete_records({partition: RecordsToDelete(offset) for partition, offset in offsets.items()})
