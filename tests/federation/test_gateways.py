"""Whole gateways, each a process with a store of its own, relaying to each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise, permutations
from pathlib import Path

import pytest

from tests.federation.places import Mesh, stored_once
from tests.harness import Subscriber

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

EVENTS = 200
"""At each gateway."""

PAIR = [("eu", "us"), ("us", "eu")]
TRIANGLE = list(permutations(("eu", "us", "ap"), 2))
RING = list(pairwise(("eu", "us", "ap", "af", "sa", "eu")))
RING_BOTH = [*RING, *((to, start) for start, to in RING)]


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    async with Subscriber() as made:
        yield made


async def everywhere_once(mesh: Mesh, ids: list[str]) -> None:
    """Every event has reached every gateway's trigger, and none twice, when nothing moves any more."""
    await mesh.quiet()
    for cluster in mesh.gateways:
        missing = set(ids) - mesh.counts(cluster).keys()
        assert not missing, f"{len(missing)} of {len(ids)} never reached {cluster}"
    for cluster in mesh.gateways:
        twice = {id: count for id, count in mesh.counts(cluster).items() if count > 1}
        assert not twice, f"{cluster} got {len(twice)} events more than once"


@pytest.mark.parametrize(
    "links", [PAIR, TRIANGLE, RING, RING_BOTH], ids=["pair", "triangle", "ring", "ring both ways"]
)
async def test_every_event_reaches_every_gateway_once(
    links: list[tuple[str, str]], subscriber: Subscriber, tmp_path: Path
):
    """Of N gateways, N - 1 take in an event by a relay: so many links it has crossed, and none in vain. Where two ways
    lead to a gateway, it is offered by both and comes by one.
    """
    mesh = Mesh(links, subscriber, tmp_path)
    try:
        await mesh.start()
        await mesh.met()
        producers = {cluster: mesh.producer(cluster) for cluster in mesh.gateways}
        await asyncio.gather(
            *(one.send([f"{cluster}-{n}" for n in range(EVENTS)]) for cluster, one in producers.items())
        )
        ids = [id for one in producers.values() for id in one.acknowledged]
        assert len(ids) == EVENTS * len(producers)

        await everywhere_once(mesh, ids)
        crossings = await mesh.crossings()
        assert crossings == {"accepted": (len(mesh.gateways) - 1) * len(ids)}
    finally:
        await mesh.kill()
    assert await stored_once(mesh.gateways, ids) == len(ids)
