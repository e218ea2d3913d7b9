"""Whole gateways, each a process with a store of its own, relaying to each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest

from tests.federation.places import Mesh
from tests.harness import Subscriber

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAIR = [("eu", "us"), ("us", "eu")]
TRIANGLE = list(permutations(("eu", "us", "ap"), 2))


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    async with Subscriber() as made:
        yield made


async def everywhere_once(mesh: Mesh, ids: list[str]) -> None:
    """Every event has reached every gateway's trigger, and none twice."""
    wanted = {f"/{cluster}" for cluster in mesh.gateways}

    def enough(requests) -> bool:
        return all(len(mesh.counts(path[1:])) >= len(ids) for path in wanted)

    try:
        await mesh.subscriber.received(enough)
    finally:
        for cluster in mesh.gateways:
            counts = mesh.counts(cluster)
            missing = set(ids) - counts.keys()
            assert not missing, f"{len(missing)} of {len(ids)} never reached {cluster}"
    for cluster in mesh.gateways:
        twice = {id: count for id, count in mesh.counts(cluster).items() if count > 1}
        assert not twice, f"{cluster} got {len(twice)} events more than once"


@pytest.mark.parametrize("links", [PAIR, TRIANGLE], ids=["pair", "triangle"])
async def test_every_event_reaches_every_gateway_once(
    links: list[tuple[str, str]], subscriber: Subscriber, tmp_path: Path
):
    mesh = Mesh(links, subscriber, tmp_path)
    try:
        await mesh.start()
        await mesh.met()
        producers = {cluster: mesh.producer(cluster) for cluster in mesh.gateways}
        await asyncio.gather(
            *(one.send([f"{cluster}-{n}" for n in range(200)]) for cluster, one in producers.items())
        )
        ids = [id for one in producers.values() for id in one.acknowledged]
        assert len(ids) == 200 * len(producers)

        await everywhere_once(mesh, ids)
    finally:
        await mesh.kill()
