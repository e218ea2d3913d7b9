"""Beside somebody else's server, where we may create nothing: what is missing hurts only who needs it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.harness import PATIENCE, GatewayProcess, Subscriber, accepted, running, send_batch
from tests.transports import BACKINGS, ON_MAIN, Backing, Mesh


def documents(url: str, *brokers: str) -> str:
    return "".join(
        f"""
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: {name}}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: of-{name}}}
spec: {{broker: {name}, subscriber: {{uri: "{url}/{name}"}}}}
"""
        for name in brokers
    )


async def not_read(gateway: GatewayProcess, broker: str) -> dict[str, Any]:
    """The status once this Broker is not ready: its reader may still be on its way to its channel when its neighbour serves."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status = await gateway.status()
            if any(
                one["name"] == broker and one["conditions"][0]["status"] != "True"
                for one in status["brokers"]
            ):
                return status
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("backing", [b for b in BACKINGS if b.variable], ids=lambda backing: backing.kind)
async def test_a_broker_whose_channel_is_missing_is_refused_and_its_neighbour_serves(
    backing: Backing, tmp_path: Path
):
    backing.skip_if_absent()
    mesh = Mesh(backing, tmp_path)
    async with Subscriber() as subscriber:
        async with running(mesh(documents(subscriber.url, "there"))) as first:
            await first.terminate()
        gateway = mesh(documents(subscriber.url, "there", "missing"))
        gateway.file.write_text(
            gateway.file.read_text().replace("spec: {kind", "spec: {ensure: verify, kind")
        )
        try:
            await gateway.start(until_ready=False)
            await accepted(gateway, "/default/there", "event")
            assert await send_batch(gateway, "/default/missing", ["event"]) == 503
            await subscriber.received(lambda requests: "/there" in {request.path for request in requests})

            status = await not_read(gateway, "default/missing")
            ready = {one["name"]: one["conditions"][0] for one in status["brokers"]}
            assert ready["default/there"]["status"] == "True"
            assert ready["default/missing"]["status"] == "False"
            assert (
                "does not exist" in ready["default/missing"]["message"]
                or "no " in ready["default/missing"]["message"]
            )
            assert "default/missing" in {drift["channel"] for drift in status["transports"][0]["drift"]}
            assert not await gateway.is_ready()
        finally:
            await gateway.kill()
