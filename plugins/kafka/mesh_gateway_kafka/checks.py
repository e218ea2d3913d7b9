"""What `lint --connect` and readiness want to know: connection, credentials, topics, permissions, as findings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient

from mesh_gateway.errors import NotPermitted, TransportError
from mesh_gateway.transport.contract import Check, Level
from mesh_gateway_kafka import topics
from mesh_gateway_kafka.connection import connection
from mesh_gateway_kafka.ending import IN_ORDER, stop_admin
from mesh_gateway_kafka.options import KafkaOptions

CHECK_SECONDS = 4.0
"""For all questions after the first answer; the contract gives a check about five seconds."""


async def checks(options: KafkaOptions, known: Sequence[str]) -> list[Check]:
    """Findings about the cluster and the topics known by now; raises nothing."""
    if not options.bootstrap_servers:
        return [
            Check(
                "kafka", Level.CONNECT, ok=True, detail="no bootstrapServers; a Broker's ConfigMap names them"
            )
        ]
    try:
        link = connection(options, options.bootstrap_servers)
        server = await link.reach()
    except NotPermitted as error:
        return [
            Check("kafka", Level.AUTH, ok=False, detail=str(error), hint="look at the options tls and sasl")
        ]
    except TransportError as error:
        return [
            Check(
                "kafka",
                Level.CONNECT,
                ok=False,
                detail=str(error),
                hint="look at the option bootstrapServers",
            )
        ]
    found = [
        Check("kafka", Level.CONNECT, ok=True, detail=f"{server} answers"),
        Check(
            "kafka",
            Level.AUTH,
            ok=True,
            detail=options.sasl.username if options.sasl else "no credentials are asked for",
        ),
    ]
    admin = AIOKafkaAdminClient(**link.settings)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await admin.start()
            found += [await _topic(admin, topic) for topic in known]
    except (TimeoutError, errors.KafkaError) as error:
        found.append(
            Check(
                "kafka",
                Level.CONNECT,
                ok=False,
                detail=f"stopped answering: {error}",
                hint="look at the brokers' logs",
            )
        )
    finally:
        await stop_admin(admin, IN_ORDER)
    return found


async def _topic(admin: AIOKafkaAdminClient, topic: str) -> Check:
    try:
        there = await topics.describe(admin, topic)
    except NotPermitted as error:
        return Check(
            topic,
            Level.PERMISSION,
            ok=False,
            detail=str(error),
            hint=f"kafka-acls --add --operation Describe --topic {topic}",
        )
    except TransportError as error:
        return Check(topic, Level.TOPOLOGY, ok=False, detail=str(error))
    if there is None:
        return Check(
            topic,
            Level.TOPOLOGY,
            ok=False,
            detail="the topic does not exist",
            hint="create it, or let ensure be create",
        )
    replicas = min(len(part["replicas"]) for part in there["partitions"])
    return Check(
        topic, Level.TOPOLOGY, ok=True, detail=f"{len(there['partitions'])} partitions, {replicas} replicas"
    )
