"""A gateway whose broker is down: it starts, says so, refuses on that Broker only, and serves when the server is back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.scale import scaled
from tests.harness import GatewayProcess, Producer, Subscriber, accepted
from tests.transports import BACKINGS, ON_MAIN, Backing, Mesh

ROUNDS = scaled(1, 2, "MESH_ROUNDS")
PATIENCE = 60


def documents(url: str) -> str:
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: beside}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/t"}}}}
"""


@pytest.mark.parametrize("backing", [b for b in BACKINGS if b.variable], ids=lambda backing: backing.kind)
async def test_it_starts_says_so_refuses_there_only_and_serves_when_the_server_is_back(
    backing: Backing, tmp_path: Path
):
    backing.skip_if_absent()
    async with Subscriber() as subscriber:
        gateway = Mesh(backing, tmp_path)(documents(subscriber.url))
        await backing.service("stop")
        try:
            await gateway.start(until_ready=False)
            await accepted(gateway, "/default/beside", "first", PATIENCE)
            for number in range(ROUNDS):
                await down(gateway, number)
                await backing.service("start")
                await served(gateway, subscriber, number)
                await backing.service("stop")
        finally:
            await gateway.kill()
            await backing.service("start")


async def answer(gateway: GatewayProcess, broker: str, id: str) -> int:
    producer = Producer(gateway.ingress, f"/default/{broker}")
    await producer.send([id])
    return producer.answers[0] if producer.answers else 0


async def down(gateway: GatewayProcess, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await answer(gateway, "b", f"refused-{number}") != 503:
            await asyncio.sleep(0.1)
    assert await answer(gateway, "beside", f"beside-{number}") == 202
    status, text = await gateway.get("/readyz?verbose")
    assert status == 503
    assert "main" in str(text)
    [main] = [
        transport for transport in (await gateway.status())["transports"] if transport["name"] == "main"
    ]
    assert not main["up"]
    assert main["detail"]


async def served(gateway: GatewayProcess, subscriber: Subscriber, number: int) -> None:
    await accepted(gateway, "/default/b", f"served-{number}", PATIENCE)
    await subscriber.received(lambda requests: f"served-{number}" in {request.id for request in requests})
