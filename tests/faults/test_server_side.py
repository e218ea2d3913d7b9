"""What operators and servers do to queues: one is deleted, an alarm blocks publishing, a lease runs out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugins.rabbitmq.tests.beside import Operator
from tests.faults.scale import thorough
from tests.harness import (
    PATIENCE,
    GatewayProcess,
    Producer,
    Subscriber,
    accepted,
    acknowledged_more,
    load,
    refused_each,
    running,
    send_batch,
)
from tests.transports import ON_MAIN, RABBITMQ, SQS, Mesh

pytestmark = [thorough, pytest.mark.servers]

HELD = 15.0
"""Seconds for which a subscriber takes its time: three times the lease."""


def documents(url: str, delivery: str = "{}") -> str:
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}, delivery: {delivery}}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: beside}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/"}}}}
"""


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    """Of a virtual host of RabbitMQ that nobody else uses."""
    RABBITMQ.skip_if_absent()
    found = Operator(os.environ["MESH_TEST_RABBITMQ_API"], RABBITMQ.server, f"t{uuid.uuid4().hex[:10]}")
    await found.ask("PUT", f"vhosts/{found.vhost}", {"description": "of a test; may be deleted"})
    yield found
    await found.ask("DELETE", f"vhosts/{found.vhost}")


@pytest.fixture
def mesh(operator: Operator, tmp_path: Path) -> Mesh:
    return Mesh(RABBITMQ.at(operator.url), tmp_path)


async def test_a_queue_that_is_deleted_under_load_is_told_and_made_anew_and_nothing_is_lost_after_that(
    operator: Operator, mesh: Mesh
):
    async with Subscriber() as subscriber:
        gateway = mesh(documents(subscriber.url))
        async with running(gateway):
            async with load(gateway) as producers:
                await acknowledged_more(producers, 200)
                await operator.delete_queue(f"{mesh.own}.default.b")
                await told(gateway, "it is made anew")
                await accepted(gateway, "/default/b", "the-first-afterwards")
                before = {
                    id for producer in producers for id in (*producer.acknowledged, *producer.sent[-1:])
                }
                await acknowledged_more(producers, 200)
            wanted = {id for producer in producers for id in producer.acknowledged} - before
            wanted.add("the-first-afterwards")
            with contextlib.suppress(TimeoutError):
                await subscriber.received(lambda _: wanted <= subscriber.answered)
            assert not wanted - subscriber.answered
            _, metrics = await gateway.get("/metrics")

        assert {status for producer in producers for status in producer.answers} <= {202, 503}
        assert 'mesh_gateway_unreadable_records_total{channel="default/b"} 1.0' in metrics


async def told(gateway: GatewayProcess, words: str) -> None:
    """Returns once the log says so."""
    async with asyncio.timeout(PATIENCE):
        while words not in gateway.log.read_text():
            await asyncio.sleep(0.05)


async def test_an_alarm_refuses_on_brokers_there_only_while_deliveries_go_on(operator: Operator, mesh: Mesh):
    async with Subscriber() as subscriber:
        gateway = mesh(documents(subscriber.url))
        async with running(gateway):
            subscriber.answering.clear()
            async with load(gateway) as producers:
                await acknowledged_more(producers, 300)
                await operator.alarm("memory", on=True)
                try:
                    await refused_each(producers)
                    before = {id for producer in producers for id in producer.acknowledged}
                    subscriber.answering.set()
                    await subscriber.received(lambda _: before <= subscriber.answered)
                    await refused_each(producers)
                    assert await answer(gateway, "beside") == 202
                finally:
                    await operator.alarm("memory", on=False)
                await acknowledged_more(producers, 100)
            acknowledged = {id for producer in producers for id in producer.acknowledged}
            await subscriber.received(lambda _: acknowledged <= subscriber.answered)


async def answer(gateway: GatewayProcess, broker: str) -> int:
    producer = Producer(gateway.ingress, f"/default/{broker}")
    await producer.send(["beside"])
    return producer.answers[0]


@pytest.mark.parametrize(
    "killed", [False, True], ids=["the gateway stays", "the gateway is killed meanwhile"]
)
async def test_a_subscriber_that_takes_longer_than_the_visibility_timeout_loses_nothing(
    tmp_path: Path, killed: bool
):
    SQS.skip_if_absent()
    mesh = Mesh(SQS.with_options("visibilityTimeout: PT5S"), tmp_path)
    ids = [str(number) for number in range(50)]
    async with Subscriber() as subscriber:
        gateway = mesh(documents(subscriber.url, "{timeout: PT60S}"))
        subscriber.answering.clear()
        async with running(gateway):
            assert await send_batch(gateway, "/default/b", ids) == 202
            await subscriber.received(lambda _: set(ids) <= set(subscriber.ids()))
            if killed:
                await gateway.kill()
                await gateway.start()
            await asyncio.sleep(HELD)
            if not killed:
                assert sorted(subscriber.ids()) == sorted(ids), "what is extended does not come again"
            subscriber.answering.set()
            await subscriber.received(lambda _: set(ids) <= subscriber.answered)
            if killed:
                await subscriber.received(lambda requests: len(requests) >= 2 * len(ids))
