"""Several workers under load: one of them is killed or exchanged, their number changes, and nothing acknowledged is lost.

`MESH_WORKER_KILLS` is how many times a worker is killed, `MESH_ORDER_KILLS` how many times under the load that has an order.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.faults import test_order as order
from tests.faults.scale import ALL, scaled, thorough
from tests.faults.test_rolling_stops import clients
from tests.harness import PATIENCE, GatewayProcess, Producer, Subscriber, acknowledged_more, load, running
from tests.transports import EMBEDDED, KAFKA, RABBITMQ, SQS, Backing, Mesh, one_trigger

KILLS = scaled(2, 20, "MESH_WORKER_KILLS")
ORDERED_KILLS = scaled(1, 5, "MESH_ORDER_KILLS")
"""Kafka gives away the partitions of a dead worker after ten seconds, so each of these takes that long."""

NUMBERS = (2, 4, 1, 3, 1) if ALL else (2, 1, 2)
"""Of workers, one after the other: fewer, so that one has left something, and more, so that it takes that up again."""

WORKERS = 2
EXCHANGED = scaled(1, WORKERS)


def in_workers(gateway: GatewayProcess, workers: int = WORKERS) -> GatewayProcess:
    gateway.options = ["--workers", str(workers)]
    return gateway


async def hit(gateway: GatewayProcess, number: int, with_signal: signal.Signals) -> None:
    """Send a signal to one worker; returns once another one has its place."""
    victim = (await gateway.status())["workers"][number]
    os.kill(victim["pid"], with_signal)
    async with asyncio.timeout(PATIENCE * 2):
        while True:
            now = (await gateway.status())["workers"][number]
            if now["state"] == "ready" and now["pid"] != victim["pid"]:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "backing",
    [EMBEDDED, *(pytest.param(one, marks=thorough) for one in (KAFKA, RABBITMQ, SQS))],
    indirect=True,
    ids=lambda backing: backing.kind,
)
async def test_kill_minus_nine_of_one_worker_loses_no_acknowledged_event(mesh: Mesh):
    chance = random.Random(20261129)
    async with Subscriber() as subscriber:
        gateway = in_workers(mesh(one_trigger(subscriber.url)))
        async with running(gateway), load(gateway) as producers:
            for _ in range(KILLS):
                await acknowledged_more(producers)
                await hit(gateway, chance.randrange(WORKERS), signal.SIGKILL)
            await acknowledged_more(producers)
            await ready(gateway)
            restarts = sum(worker["restarts"] for worker in (await gateway.status())["workers"])
        async with running(gateway):
            await delivered(subscriber, producers)

    assert restarts == KILLS


async def ready(gateway: GatewayProcess) -> None:
    """Returns once it is. Until Kafka believes that the dead are dead nobody has their partitions: ten seconds."""
    async with asyncio.timeout(2 * PATIENCE):
        while not await gateway.is_ready():
            await asyncio.sleep(0.05)


async def delivered(subscriber: Subscriber, producers: list[Producer]) -> None:
    """Returns once everything that was acknowledged has been delivered."""
    acknowledged = {id for producer in producers for id in producer.acknowledged}
    assert acknowledged, "the load did not bite"
    try:
        await subscriber.received(lambda requests: acknowledged <= subscriber.answered)
    except TimeoutError:
        missing = acknowledged - subscriber.answered
        raise AssertionError(f"{len(missing)} of {len(acknowledged)} acknowledged events are lost") from None


async def test_a_worker_that_is_exchanged_leaves_no_request_unanswered(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = in_workers(GatewayProcess(one_trigger(subscriber.url) + EMBEDDED.document("x"), tmp_path))
        async with running(gateway), clients(gateway) as fate:
            for number in range(EXCHANGED):
                await acknowledged_more([fate])
                await hit(gateway, number, signal.SIGTERM)
            await acknowledged_more([fate])

    assert not fate.unanswered


async def test_another_number_of_workers_at_each_start_loses_nothing(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(one_trigger(subscriber.url) + EMBEDDED.document("x"), tmp_path)
        everybody: list[Producer] = []
        for workers in NUMBERS:
            in_workers(gateway, workers)
            async with running(gateway), load(gateway) as producers:
                everybody += producers
                await acknowledged_more(producers, 200)
                await gateway.kill()
        async with running(gateway):
            await delivered(subscriber, everybody)


@pytest.mark.parametrize("backing", [EMBEDDED, KAFKA], indirect=True, ids=lambda backing: backing.kind)
async def test_no_event_overtakes_another_of_its_key_whichever_worker_takes_or_delivers_it(
    mesh: Mesh, backing: Backing
):
    """And none is lost: every one of each key is done at the end, whoever was killed."""
    ordered = order.Ordered()
    async with Subscriber(ordered.answer) as subscriber:
        documents = order.documents(subscriber.url)
        if backing is not EMBEDDED:  # what is parked there may come back to another worker
            documents = documents.replace(
                "order: ordered", "order: ordered, mesh-gateway.dev/overflow: block"
            )
        gateway = in_workers(mesh(documents))
        async with running(gateway), asyncio.TaskGroup() as tasks:
            tasks.create_task(order.send_all(gateway))
            for number in range(ORDERED_KILLS):
                enough = (number + 1) * order.KEYS * order.EVENTS // (ORDERED_KILLS + 2)
                await subscriber.received(partial(ordered.so_many_are_done, enough))
                await hit(gateway, number % WORKERS, signal.SIGKILL)
            await subscriber.received(ordered.all_but_the_stuck_one_are_done)
            ordered.stuck = False
            await subscriber.received(ordered.all_are_done)

    assert not ordered.inversions
