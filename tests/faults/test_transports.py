"""What real brokers do to a gateway: killed under load, cut off, not there at the start. Nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from functools import partial
from pathlib import Path

import pytest

from tests.faults.scale import scaled
from tests.harness import (
    PRODUCERS,
    Answer,
    Producer,
    Request,
    Subscriber,
    acknowledged_more,
    load,
    running,
)
from tests.transports import ON_MAIN, Backing, Mesh

KILLS = scaled(2, 4)
"""Of a gateway."""

SERVER_KILLS = scaled(2, 3)

OUTAGE = 3.0
"""Seconds for which a connection loses what the server says: everything that is under way meets it."""


def documents(url: str) -> str:
    """One broker, a trigger that gets everything and one whose subscriber refuses everything."""
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}, delivery: {{retry: 5, backoffPolicy: linear, backoffDelay: PT0.05S}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: steady}}
spec: {{broker: b, subscriber: {{uri: "{url}/steady"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: refusing}}
spec: {{broker: b, subscriber: {{uri: "{url}/refusing"}}, delivery: {{deadLetterSink: {{uri: "{url}/letters"}}}}}}
"""


def answer(request: Request) -> Answer:
    return Answer(400 if request.path == "/refusing" else 202)


async def nothing_is_lost(subscriber: Subscriber, producers: list[Producer]) -> None:
    """Every acknowledged event reaches both, in the end."""
    acknowledged = {id for producer in producers for id in producer.acknowledged}
    assert len(acknowledged) > 100, "the load did not bite"
    for path in ("/steady", "/letters"):
        # A node that was killed twice may take a minute to elect the leaders of its queues.
        for _ in range(4):
            with contextlib.suppress(TimeoutError):
                await subscriber.received(partial(_all_there, subscriber, path, acknowledged))
                break
        missing = acknowledged - set(subscriber.ids(path))
        assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged events never reached {path}"


def _all_there(subscriber: Subscriber, path: str, wanted: set[str], _: object) -> bool:
    return wanted <= set(subscriber.ids(path))


async def remembers_its_channels(backing: Backing) -> None:
    """A server that has written down which channels there are.

    A single node of RabbitMQ 4.0 writes its list of quorum queues to disk some time after it made them; killed before,
    it starts an empty member in the place of a young queue, which never elects a leader. Stopped in order it writes it.
    """
    await backing.service("stop")
    await backing.service("start")


async def test_a_gateway_that_is_killed_loses_nothing(mesh: Mesh):
    chance = random.Random(4)
    async with Subscriber(answer) as subscriber:
        gateway = mesh(documents(subscriber.url))
        async with load(gateway) as producers:
            for _ in range(KILLS):
                async with running(gateway):
                    await acknowledged_more(producers)
                    await asyncio.sleep(0.3 * chance.random())
                    await gateway.kill()
            async with running(gateway):
                await acknowledged_more(producers)
        async with running(gateway):
            await nothing_is_lost(subscriber, producers)


async def test_a_server_that_is_killed_under_load_loses_nothing(mesh: Mesh):
    if not mesh.backing.durable:
        pytest.skip(f"the server behind {mesh.backing.kind} keeps everything in memory")
    async with Subscriber(answer) as subscriber:
        gateway = mesh(documents(subscriber.url))
        async with running(gateway):
            await remembers_its_channels(mesh.backing)
            async with load(gateway) as producers:
                for _ in range(SERVER_KILLS):
                    await acknowledged_more(producers)
                    await mesh.backing.service("kill")
                    await mesh.backing.service("start")
                await acknowledged_more(producers)
            await nothing_is_lost(subscriber, producers)


async def test_what_the_server_says_is_lost_and_no_event_is(backing: Backing, tmp_path: Path):
    async with Subscriber(answer) as subscriber, backing.proxy() as proxy:
        gateway = Mesh(backing.through(proxy), tmp_path)(documents(subscriber.url))
        async with running(gateway):
            async with load(gateway) as producers:
                for _ in range(3):
                    await acknowledged_more(producers)
                    proxy.lose_answers()
                    async with asyncio.timeout(OUTAGE):
                        await proxy.answer_lost.wait()
                    await asyncio.sleep(OUTAGE)
                    proxy.resume()
                await acknowledged_more(producers)
            await nothing_is_lost(subscriber, producers)


async def test_of_two_gateways_that_share_a_broker_one_is_killed_and_nothing_is_lost(mesh: Mesh):
    async with Subscriber(answer) as subscriber:
        first, second = (mesh(documents(subscriber.url), name) for name in ("first", "second"))
        async with running(first), running(second):
            async with load(first, second) as producers:
                await acknowledged_more(producers, 400)
                shares = [
                    sum(t["delivered"] for t in (await g.status())["triggers"]) for g in (first, second)
                ]
                await first.kill()
                await acknowledged_more(producers[PRODUCERS:], 100)
            await nothing_is_lost(subscriber, producers)
    assert all(shares), f"both took part: {shares}"
