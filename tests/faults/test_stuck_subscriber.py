"""A subscriber that is down delays no other trigger and costs bounded memory; its backlog is delivered when it is back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.figures import compare, counts, figure, memory
from tests.faults.scale import scaled
from tests.faults.steady import steady
from tests.harness import HANG, Answer, GatewayProcess, Request, Subscriber, running, send_batch

EVENTS = scaled(50_000, 100_000, "MESH_BACKLOG")
"""Promise 6 names a million; these are taken and delivered to the neighbour in half a minute."""

PARKED = scaled(3_000, 20_000, "MESH_BACKLOG")
BATCH = 500
WINDOW = 1_000

QUIET = scaled(2.0, 10.0)
"""Seconds of good traffic alone, and the same beside the backlog."""

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: calm}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: healthy}}
spec: {{broker: b, subscriber: {{uri: "{url}/healthy"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: stuck}}
spec: {{broker: b, subscriber: {{uri: "{url}/stuck"}}, delivery: {{timeout: PT60S}}}}
"""


async def test_a_subscriber_that_never_answers_delays_nobody_and_costs_bounded_memory(tmp_path: Path):
    def answer(request: Request) -> Answer:
        return HANG if request.path == "/stuck" else Answer()

    async with Subscriber(answer) as subscriber, steady() as good:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url) + good.trigger("calm"), tmp_path)
        async with running(gateway):
            good.send(f"{gateway.url}/default/calm", "before")
            await asyncio.sleep(QUIET)
            before = memory(gateway.pid)
            good.send(f"{gateway.url}/default/calm", "while the backlog comes")
            await send(gateway, EVENTS)
            await subscriber.received(lambda requests: len(requests) >= EVENTS + 64)
            good.send(f"{gateway.url}/default/calm", "beside the backlog")
            await asyncio.sleep(QUIET)
            triggers = {t["name"]: t for t in (await gateway.status())["triggers"]}
            grown = memory(gateway.pid) - before
            seconds = await good.stop()

        counts(6, events_that_wait=EVENTS)
        figure(6, "the process grew by", grown / 10**6, "MB")
        compare(6, "another Trigger", seconds, than="before")
        assert set(subscriber.ids("/healthy")) == {str(n) for n in range(EVENTS)}
        stuck = triggers["default/stuck"]
        assert stuck["window"] == WINDOW
        assert stuck["parked"] + stuck["window"] == EVENTS
        # 50,000 events held in memory would be more than 100 MB; the window and the store's caches are not.
        assert grown < 64 * 2**20


async def test_what_was_parked_is_delivered_when_the_subscriber_answers_again(tmp_path: Path):
    stuck = True

    def answer(request: Request) -> Answer:
        return HANG if stuck and request.path == "/stuck" else Answer()

    async with Subscriber(answer) as subscriber:
        documents = DOCUMENTS.format(url=subscriber.url).replace("PT60S", "PT0.5S, retry: 100")
        gateway = GatewayProcess(documents, tmp_path)
        async with running(gateway):
            begun = time.monotonic()
            await send(gateway, PARKED)
            taken = time.monotonic() - begun
            await subscriber.received(lambda requests: len(requests) >= 64)
            stuck = False
            begun = time.monotonic()
            await gateway.settled()
            drained = time.monotonic() - begun

        figure(6, "taken", PARKED / taken, "events/s")
        figure(6, "backlog delivered", PARKED / drained, "events/s")
        assert {r.id for r in subscriber.requests if r.path == "/stuck"} >= {str(n) for n in range(PARKED)}


async def send(gateway: GatewayProcess, count: int) -> None:
    """So many events, in batches, each of them acknowledged."""
    for first in range(0, count, BATCH):
        assert await send_batch(gateway, "/default/b", (str(n) for n in range(first, first + BATCH))) == 202
