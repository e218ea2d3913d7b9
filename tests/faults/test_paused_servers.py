"""A broker's server that is frozen, its connections standing: producers are refused in time, and nothing is lost."""

from __future__ import annotations

import asyncio

from tests.faults.scale import thorough
from tests.faults.test_transports import answer, documents, nothing_is_lost
from tests.harness import Producer, Subscriber, acknowledged_more, load, refused_each, running
from tests.transports import Backing, Mesh

pytestmark = thorough

BESIDE = """
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: beside}
"""


async def test_a_server_that_is_paused_refuses_in_time_on_its_brokers_only_and_loses_nothing(mesh: Mesh):
    async with Subscriber(answer) as subscriber:
        gateway = mesh(documents(subscriber.url) + BESIDE)
        async with running(gateway):
            async with load(gateway) as producers:
                await acknowledged_more(producers)
                await paused_until_all_are_refused(mesh.backing, producers, gateway.ingress)
                await acknowledged_more(producers)
            await nothing_is_lost(subscriber, producers)


async def paused_until_all_are_refused(backing: Backing, producers: list[Producer], ingress: int) -> None:
    await backing.service("pause")
    try:
        await refused_each(producers)
        await refused_each(producers)
        beside = Producer(ingress, "/default/beside")
        await beside.send(["beside"])
        assert beside.answers == [202]
    finally:
        await asyncio.shield(backing.service("unpause"))
