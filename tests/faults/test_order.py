"""An ordered trigger with many keys, a subscriber that fails, and kills: no event overtakes another one of its key.

`MESH_ORDER_EVENTS` is how many events each of the thousand keys gets, `MESH_ORDER_KILLS` how many kills.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from functools import partial

import pytest

from tests.faults.figures import counts
from tests.faults.scale import scaled, thorough
from tests.harness import PATIENCE, Answer, GatewayProcess, Request, Subscriber, post
from tests.transports import EMBEDDED, KAFKA, ON_MAIN, Mesh

KEYS = 1_000
EVENTS = scaled(4, 10, "MESH_ORDER_EVENTS")
KILLS = scaled(2, 5, "MESH_ORDER_KILLS")
FAILURES = 0.05
STUCK = "k0"


def documents(url: str) -> str:
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t, annotations: {{mesh-gateway.dev/order: ordered}}}}
spec:
  broker: b
  subscriber: {{uri: "{url}/"}}
  delivery: {{retry: 100000, backoffPolicy: linear, backoffDelay: PT0.02S, backoffMax: PT0.5S}}
"""


class Ordered:
    """Answers 503 to one in twenty and to all of the stuck key, and notes who came before his predecessor was done."""

    def __init__(self) -> None:
        self.stuck = True
        self.done: dict[str, int] = defaultdict(int)
        """Events of each key that were answered with 202, counted from the first on."""
        self.inversions: list[str] = []
        self._chance = random.Random(13)

    def answer(self, request: Request) -> Answer:
        key, number = request.headers["ce-partitionkey"], int(request.id.partition("-")[2])
        if number > self.done[key]:
            self.inversions.append(f"{request.id} came when {self.done[key]} of {key} were done")
        if self._chance.random() < FAILURES or (self.stuck and key == STUCK):
            return Answer(503)
        if number == self.done[key]:
            self.done[key] += 1
        return Answer()

    def so_many_are_done(self, enough: int, _: object) -> bool:
        return sum(self.done.values()) >= enough

    def all_but_the_stuck_one_are_done(self, _: object) -> bool:
        return sum(done == EVENTS for done in self.done.values()) == KEYS - 1

    def all_are_done(self, _: object) -> bool:
        return sum(self.done.values()) == KEYS * EVENTS


def batch(number: int) -> bytes:
    """The event of this number of every key."""
    attributes = {"specversion": "1.0", "type": "t", "source": "/tests"}
    return json.dumps(
        [attributes | {"id": f"k{key}-{number}", "partitionkey": f"k{key}"} for key in range(KEYS)]
    ).encode()


async def send_all(gateway: GatewayProcess) -> None:
    """Batch after batch, each until it is acknowledged: what was sent twice is no disorder."""
    for number in range(EVENTS):
        async with asyncio.timeout(PATIENCE * 2):
            while not await acknowledged(gateway, batch(number)):
                await asyncio.sleep(0.05)


async def acknowledged(gateway: GatewayProcess, body: bytes) -> bool:
    headers = {"content-type": "application/cloudevents-batch+json"}
    try:
        return await asyncio.to_thread(post, gateway.url + "/default/b", body, headers) == 202
    except OSError:
        return False


@pytest.mark.parametrize(
    "backing",
    [EMBEDDED, pytest.param(KAFKA, marks=thorough)],
    indirect=True,
    ids=lambda backing: backing.kind,
)
async def test_no_event_overtakes_another_of_its_key_and_a_stuck_key_blocks_only_itself(mesh: Mesh):
    ordered = Ordered()
    async with Subscriber(ordered.answer) as subscriber:
        gateway = mesh(documents(subscriber.url))
        try:
            await gateway.start()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send_all(gateway))
                for number in range(KILLS):
                    enough = (number + 1) * KEYS * EVENTS // (KILLS + 2)
                    await subscriber.received(partial(ordered.so_many_are_done, enough))
                    await gateway.kill()
                    await gateway.start()
            await subscriber.received(ordered.all_but_the_stuck_one_are_done)
            assert ordered.done[STUCK] == 0
            ordered.stuck = False
            await subscriber.received(ordered.all_are_done)
        finally:
            if gateway.runs:
                await gateway.kill()
    counts(13, keys=KEYS, events=KEYS * EVENTS, attempts=len(subscriber.requests), kills=KILLS)
    assert not ordered.inversions
