"""Relays whose targets are dead, do not know them, or have forgotten everything: what is for them waits, and nobody else does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh_gateway.testing.proxy import Proxy
from tests.faults.figures import memory
from tests.federation.places import LONG_PATIENCE, Mesh, log_of, relay, stored_once, variable
from tests.harness import GatewayProcess, send_batch

pytestmark = pytest.mark.slow

EVENTS = 20_000
BATCH = 500
DATA = 2_000
"""Bytes in each event: all of them held in memory would be more than 80 MB."""

ONE_WAY = [("eu", "us")]


async def says(gateway: GatewayProcess, name: str, reason: str) -> None:
    """Returns once the relay's condition has this reason."""
    async with asyncio.timeout(LONG_PATIENCE):
        while (await relay(gateway, name))["conditions"][0]["reason"] != reason:
            await asyncio.sleep(0.05)


async def taken(gateway: GatewayProcess, count: int) -> None:
    """Returns once the broker has stored `count` events."""
    async with asyncio.timeout(LONG_PATIENCE):
        while await stored(gateway) < count:
            await asyncio.sleep(0.05)


async def stored(gateway: GatewayProcess) -> int:
    accepted: int = (await gateway.status())["brokers"][0]["accepted"]
    return accepted


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Mesh]:
    """`eu`, which relays to `us`; neither runs yet."""
    mesh = Mesh(ONE_WAY, None, tmp_path)
    yield mesh
    await mesh.kill()


async def test_targets_that_are_dead_delay_no_other_refuse_no_producer_and_cost_bounded_memory(
    tmp_path: Path,
):
    """Of four, one goes silent after it has been met, and one refuses connections from the start."""
    mesh = Mesh([("eu", to) for to in ("us", "ap", "silent", "absent")], None, tmp_path)
    eu, silent, absent = (mesh.gateways[cluster] for cluster in ("eu", "silent", "absent"))
    async with Proxy(("127.0.0.1", silent.ingress)) as wire:
        mesh.route(
            lambda _, to: f"http://127.0.0.1:{wire.address[1]}" if to == "silent" else mesh.gateways[to].url
        )
        try:
            for gateway in mesh.gateways.values():
                if gateway is not absent:
                    await gateway.start()
            await says(eu, "to-silent", "")
            await says(eu, "to-absent", "Unreachable")
            wire.stall()
            before = memory(eu.pid)

            for first in range(0, EVENTS, BATCH):
                ids = map(str, range(first, first + BATCH))
                assert await send_batch(eu, "/default/b", ids, data="x" * DATA) == 202
            for cluster in ("us", "ap"):
                await taken(mesh.gateways[cluster], EVENTS)
            grown = memory(eu.pid) - before

            for name in ("to-silent", "to-absent"):
                assert (await relay(eu, name))["backlog"] == EVENTS
            assert await stored(silent) == 0
            # The window of 2,000 events, the transfers under way and the store's caches.
            assert grown < 64 * 2**20

            wire.resume()
            await absent.start()
            await mesh.quiet()
        finally:
            await mesh.kill()
    assert await stored_once(mesh.gateways, [str(n) for n in range(EVENTS)]) == EVENTS


async def test_with_a_wrong_token_nothing_is_stored_and_everything_arrives_once_when_it_is_right(pair: Mesh):
    eu, us = pair.gateways["eu"], pair.gateways["us"]
    right, eu.environment[variable("eu")] = eu.environment[variable("eu")], "another-token"
    await pair.start()
    producer = pair.producer("eu")
    await producer.send(str(n) for n in range(300))
    await says(eu, "to-us", "Unauthorized")
    assert await stored(us) == 0
    assert (await relay(eu, "to-us"))["backlog"] == 300

    assert await eu.terminate() == 0
    eu.environment[variable("eu")] = right
    await eu.start()
    await pair.quiet()
    await pair.kill()

    assert len(producer.acknowledged) == 300
    assert await stored_once(pair.gateways, producer.acknowledged) == 300


async def test_without_permission_for_the_broker_nothing_is_stored_and_everything_arrives_once_when_it_is_given(
    pair: Mesh,
):
    eu, us = pair.gateways["eu"], pair.gateways["us"]
    allowed = us.file.read_text()
    other = allowed.replace("{cluster: eu,", "{cluster: eu, brokers: [default/other],")
    assert other != allowed
    us.file.write_text(other + BROKER_OTHER)
    await pair.start()
    producer = pair.producer("eu")
    await producer.send(str(n) for n in range(300))
    await says(eu, "to-us", "Forbidden")
    assert await stored(us) == 0

    assert await us.terminate() == 0
    us.file.write_text(allowed)
    await us.start()
    await pair.quiet()
    await pair.kill()

    assert len(producer.acknowledged) == 300
    assert await stored_once(pair.gateways, producer.acknowledged) == 300


BROKER_OTHER = """
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: other}
"""


async def test_a_receiver_that_has_lost_its_state_gets_what_it_had_not_answered_for(pair: Mesh):
    eu, us = pair.gateways["eu"], pair.gateways["us"]
    await pair.start()
    producer = pair.producer("eu")
    await producer.send(f"before-{n}" for n in range(300))
    await pair.quiet()

    await us.kill()
    await producer.send(f"while-{n}" for n in range(300))
    shutil.rmtree(us.state)
    await us.start()
    await producer.send(f"after-{n}" for n in range(300))
    await pair.quiet()
    assert (await relay(eu, "to-us"))["accepted"] == 900
    await pair.kill()

    assert len(producer.acknowledged) == 900
    assert sorted(event.id for event in await log_of(us)) == sorted(producer.acknowledged[300:])
