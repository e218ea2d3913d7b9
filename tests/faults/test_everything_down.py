"""A subscriber and the dead letter sink are down together: every event waits, is a dead letter, or is delivered in the end.

`MESH_OUTAGE` is how many seconds they are down: 15 in `make test-faults`, ten minutes are promised (`MESH_OUTAGE=600`).
"""

from __future__ import annotations

import asyncio
import time

import pytest

from mesh_gateway.testing.ports import free_port
from tests.faults.figures import counts, figure
from tests.faults.scale import scaled, thorough
from tests.harness import GatewayProcess, Subscriber, acknowledged_more, load
from tests.transports import BACKINGS, ON_MAIN, Mesh

pytestmark = thorough

OUTAGE = scaled(4.0, 15.0, "MESH_OUTAGE")
RECOVERY = 120
"""Seconds in which everything has arrived once both are back, as promised."""

BREATH = 0.2
"""Some 150 events a second: a failing event costs several attempts and two records."""


def documents(port: int) -> str:
    """A trigger that gives up soon and one that does not, over one subscriber and one dead letter sink on this port."""
    url = f"http://127.0.0.1:{port}"
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: soon}}
spec:
  broker: b
  subscriber: {{uri: "{url}/soon"}}
  delivery: {{retry: 1, backoffPolicy: linear, backoffDelay: PT0.05S, deadLetterSink: {{uri: "{url}/letters"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: late}}
spec:
  broker: b
  subscriber: {{uri: "{url}/late"}}
  delivery: {{retry: 100000, backoffPolicy: linear, backoffDelay: PT0.1S, backoffMax: PT1S}}
"""


@pytest.mark.parametrize("backing", BACKINGS, indirect=True, ids=lambda backing: backing.kind)
@pytest.mark.parametrize(
    "killed", [False, True], ids=["the gateway stays", "the gateway is killed meanwhile"]
)
async def test_nothing_is_lost_while_a_subscriber_and_its_dead_letter_sink_are_down(mesh: Mesh, killed: bool):
    both = Subscriber()
    both.port = free_port()
    gateway = mesh(documents(both.port))
    try:
        await gateway.start()
        async with load(gateway, breath=BREATH) as producers:
            await acknowledged_more(producers, 100)
            await asyncio.sleep(OUTAGE / 2)
            if killed:
                await gateway.kill()
                await gateway.start()
                await acknowledged_more(producers, 100)
            await asyncio.sleep(OUTAGE / 2)
        acknowledged = {id for producer in producers for id in producer.acknowledged}
        assert not both.requests
        async with both:
            begun = time.monotonic()
            async with asyncio.timeout(RECOVERY):
                await all_have_ended(gateway, both, acknowledged)
            figure(5, "from both back to the last of them", time.monotonic() - begun, "s")
    finally:
        if gateway.runs:
            await gateway.kill()


async def all_have_ended(gateway: GatewayProcess, both: Subscriber, acknowledged: set[str]) -> None:
    """Returns once every event has reached `late`, and of `soon` the subscriber, its sink, or the broker's own channel."""
    while not acknowledged <= set(both.ids("/late")):
        await asyncio.sleep(0.1)
    buried: set[str] = set()
    while not acknowledged <= {*both.ids("/soon"), *both.ids("/letters"), *buried}:
        buried = {letter["id"] for letter in await gateway.dead_letters()}
        await asyncio.sleep(0.5)
    counts(5, seconds_down=OUTAGE, events=len(acknowledged), of_them_dead_letters=len(buried))
    assert buried, "the outage of the sink did not bite"
