"""Relays to whom no gateway is: any endpoint that takes CloudEvents, and a Broker next door."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.federation.places import LONG_PATIENCE, log_of, quiet, relay
from tests.harness import Answer, GatewayProcess, Producer, Request, Subscriber, load, running

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

EVENTS = 300

TO_AN_ENDPOINT = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {{name: out}}
spec:
  from: b
  to: {{uri: "{url}/events"}}
  start: earliest
  delivery: {{backoffDelay: PT0.05S, backoffMax: PT0.2S, timeout: PT5S, retry: 20}}
"""

NEXT_DOOR = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: c}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {name: there}
spec: {from: b, to: {ref: {kind: Broker, name: c}}, start: earliest}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {name: back}
spec: {from: c, to: {ref: {kind: Broker, name: b}}, start: earliest}
"""


class Shop:
    """An endpoint that knows nothing of relays: it is busy now and then, and does not want every event."""

    def __init__(self) -> None:
        self.strict = True
        self.tries: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()

    def answer(self, request: Request) -> Answer:
        if not request.id:
            return Answer(405)  # somebody asks who is there
        self.tries[request.id] += 1
        number = int(request.id)
        if self.strict and number % 10 == 1:
            return Answer(400, body=b"no such order")
        if number % 3 == 0 and self.tries[request.id] <= 2:
            return Answer(503)
        self.taken[request.id] += 1
        return Answer()


async def redriven(gateway: GatewayProcess) -> str:
    """What `dlq redrive` says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_gateway", "dlq", "redrive", "default/b", "--yes",
        "--admin", f"http://127.0.0.1:{gateway.admin}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


async def dead_letters(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """The broker's, as `dlq list` shows them."""
    _, page = await gateway.get("/api/v1/dead-letters?broker=default/b&limit=1000")
    found: list[dict[str, Any]] = page["items"]
    return found


async def test_an_endpoint_gets_single_events_again_when_it_is_busy_and_never_those_that_it_refuses(
    tmp_path: Path,
):
    shop = Shop()
    ids = [str(n) for n in range(EVENTS)]
    refused = {id for id in ids if int(id) % 10 == 1}
    async with Subscriber(shop.answer) as subscriber:
        gateway = GatewayProcess(TO_AN_ENDPOINT.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            producer = Producer(gateway.ingress, "/default/b")
            await producer.send(ids)
            assert producer.acknowledged == ids
            await quiet([gateway])

            assert shop.taken == Counter(set(ids) - refused)
            assert {shop.tries[id] for id in refused} == {1}
            assert {shop.tries[id] for id in set(ids) - refused if int(id) % 3 == 0} == {3}
            letters = await dead_letters(gateway)
            assert {letter["id"] for letter in letters} == refused
            assert {(letter["trigger"], letter["code"], letter["attempts"]) for letter in letters} == {
                ("relay:default/out", 400, 1)
            }
            assert (await relay(gateway, "out"))["mode"] == "singles"

            shop.strict = False
            assert f"redriven: {len(refused)} of {len(refused)}" in await redriven(gateway)
            await quiet([gateway])

            assert shop.taken == Counter(ids)
            assert await dead_letters(gateway) == []


async def test_a_relay_whose_target_refuses_everything_for_now_is_not_called_ready(tmp_path: Path):
    """It says who it is, so to say, and takes nothing: a relay that moves nothing is not running."""
    busy = True

    def answer(request: Request) -> Answer:
        return Answer(503 if busy and request.id else 204)

    async with Subscriber(answer) as subscriber:
        gateway = GatewayProcess(TO_AN_ENDPOINT.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            await Producer(gateway.ingress, "/default/b").send(["1"])
            async with asyncio.timeout(LONG_PATIENCE):
                while (await relay(gateway, "out"))["failures"].get("unavailable", 0) < 2:
                    await asyncio.sleep(0.02)
            seen = [(await relay(gateway, "out"))["conditions"][0] for _ in range(20)]
            busy = False
            await quiet([gateway])
            after = (await relay(gateway, "out"))["conditions"][0]

    assert {(one["status"], one["reason"]) for one in seen} == {("False", "Unavailable")}
    assert after["status"] == "True"


async def test_brokers_of_one_gateway_relay_to_each_other_and_a_kill_loses_and_doubles_nothing(
    tmp_path: Path,
):
    gateway = GatewayProcess(NEXT_DOOR, tmp_path)
    async with running(gateway):
        async with load(gateway) as producers:
            for _ in range(3):
                async with asyncio.timeout(LONG_PATIENCE):
                    while (await relay(gateway, "there"))["accepted"] < 50:
                        await asyncio.sleep(0.02)
                await gateway.kill()
                await gateway.start()
        await quiet([gateway])

    first, second = [
        Counter(event.id for event in await log_of(gateway, broker)) for broker in ("default/b", "default/c")
    ]
    assert first == second
    assert {id for producer in producers for id in producer.acknowledged} <= first.keys()
    assert set(first.values()) == {1}
