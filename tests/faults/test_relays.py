"""Links that are cut and gateways that are killed or restarted while they relay: nothing lost, nothing twice.

What is counted. "Lost" is an acknowledged event that is not in the log of some gateway's broker in the end. "Twice" is
an event that is in one of them more than once; the logs are read when the gateways have ended. A trigger's delivery
over HTTP is at-least-once by itself: a gateway that is killed between its subscriber's 2xx and the settle delivers
again, relays or not. So deliveries are counted one for one only at gateways that were not killed; at the others,
deliveries of one event have to be of one entry of the log, which shows by its time of arrival.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import cycle, permutations
from pathlib import Path

import pytest

from mesh_gateway.testing.proxy import Proxy
from tests.faults.figures import counts
from tests.faults.scale import scaled, thorough
from tests.federation.places import Mesh, relay, stored_once, verdicts
from tests.harness import Producer, Subscriber, acknowledged_more, load

pytestmark = pytest.mark.slow

CUT = scaled(6.0, 20.0, "MESH_CUT_SECONDS")
"""More than the five after which a relay gives a transfer up, or a stalled link is no cut."""
KILLS = scaled(3, 10, "MESH_RELAY_KILLS")
"""In each of three tests; in one of them some are of two gateways."""
ROUNDS = scaled(1, 3, "MESH_ROUNDS")

ONE_WAY = [("eu", "us")]
PAIR = [("eu", "us"), ("us", "eu")]
TRIANGLE = list(permutations(("eu", "us", "ap"), 2))

WAYS: tuple[Callable[[Proxy], None], ...] = (Proxy.refuse, Proxy.stall, Proxy.lose_answers)
"""To cut a link: at once and loudly, half-open, and so that transfers arrive and their verdicts do not."""


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    async with Subscriber() as made:
        yield made


def acknowledged(producers: list[Producer]) -> list[str]:
    return [id for producer in producers for id in producer.acknowledged]


def delivered_once(mesh: Mesh, cluster: str, ids: list[str]) -> None:
    """Each of `ids`, and nothing twice."""
    counts = mesh.counts(cluster)
    missing = set(ids) - counts.keys()
    assert not missing, f"{len(missing)} of {len(ids)} acknowledged events never reached {cluster}'s trigger"
    twice = [id for id, count in counts.items() if count > 1]
    assert not twice, f"{cluster}'s trigger got {len(twice)} events more than once"


def of_one_entry_each(mesh: Mesh, cluster: str, ids: list[str]) -> None:
    """Each of `ids`; an event that came more than once came every time from the same entry of the log."""
    assert mesh.subscriber is not None
    arrivals: dict[str, set[str]] = {}
    for request in mesh.subscriber.requests:
        if request.path == f"/{cluster}":
            arrivals.setdefault(request.id, set()).add(request.headers["ce-knativearrivaltime"])
    missing = set(ids) - arrivals.keys()
    assert not missing, f"{len(missing)} of {len(ids)} acknowledged events never reached {cluster}'s trigger"
    twice = [id for id, times in arrivals.items() if len(times) > 1]
    assert not twice, f"{cluster}'s trigger got {len(twice)} events from two entries of its log"


# ── links ────────────────────────────────────────────────────────────────────────────────────


async def test_each_link_of_three_gateways_is_cut_in_turn_under_load(subscriber: Subscriber, tmp_path: Path):
    """Each for twenty seconds; the next one is cut when the one before has half of it behind it, so two are at once."""
    mesh = Mesh(TRIANGLE, subscriber, tmp_path)
    async with AsyncExitStack() as stack:
        wires = {
            (start, to): await stack.enter_async_context(Proxy(("127.0.0.1", mesh.gateways[to].ingress)))
            for start, to in TRIANGLE
        }
        mesh.route(lambda start, to: "http://{}:{}".format(*wires[start, to].address))
        try:
            await mesh.start()
            await mesh.met()
            async with load(*mesh.gateways.values(), breath=0.5) as producers:
                await cut_in_turn(wires, producers)
            await mesh.quiet()

            ids = acknowledged(producers)
            for cluster in mesh.gateways:
                delivered_once(mesh, cluster, ids)
            for start, to in TRIANGLE:
                assert (await relay(mesh.gateways[start], f"to-{to}"))["failures"], (
                    f"{start} → {to} was not cut"
                )
            crossed = await mesh.accepted()
            for cluster, gateway in mesh.gateways.items():
                assert not (await verdicts(gateway))["looped"], f"events came back to {cluster}"
        finally:
            await mesh.kill()
    events = await stored_once(mesh.gateways, ids)
    counts(11, links_cut=len(TRIANGLE), seconds_for_each=CUT, events=events, crossings=crossed)
    assert crossed == (len(mesh.gateways) - 1) * events


async def cut_in_turn(wires: dict[tuple[str, str], Proxy], producers: list[Producer]) -> None:
    async def cut(wire: Proxy, way: Callable[[Proxy], None]) -> None:
        way(wire)
        await asyncio.sleep(CUT)
        wire.resume()

    async with asyncio.TaskGroup() as cuts:
        for wire, way in zip(wires.values(), cycle(WAYS), strict=False):
            await acknowledged_more(producers)
            cuts.create_task(cut(wire, way))
            await asyncio.sleep(CUT / 2)


# ── kills ────────────────────────────────────────────────────────────────────────────────────


async def killed(mesh: Mesh, victims: list[tuple[str, ...]], chance: random.Random) -> None:
    """`KILLS` times, while events cross: kill -9 of one or of several after each other, at random moments."""
    for _ in range(KILLS):
        await mesh.crossed()
        chosen = [mesh.gateways[cluster] for cluster in chance.choice(victims)]
        for victim in chosen:
            await asyncio.sleep(0.4 * chance.random())
            await victim.kill()
        for victim in chosen:
            await victim.start()


async def test_a_sender_that_is_killed_loses_nothing_and_its_receiver_delivers_nothing_twice(
    subscriber: Subscriber, tmp_path: Path
):
    mesh = Mesh(ONE_WAY, subscriber, tmp_path)
    try:
        await mesh.start()
        async with load(mesh.gateways["eu"]) as producers:
            await killed(mesh, [("eu",)], random.Random(1))
        await mesh.quiet()
        again = (await verdicts(mesh.gateways["us"]))["duplicate"]
    finally:
        await mesh.kill()

    ids = acknowledged(producers)
    counts(11, kills_of_a_sender=KILLS, events=len(ids), that_the_receiver_knew=again)
    assert await stored_once(mesh.gateways, ids) > 20 * KILLS
    assert again, "no kill fell between a verdict and its settling"
    delivered_once(mesh, "us", ids)
    of_one_entry_each(mesh, "eu", ids)


async def test_a_receiver_that_is_killed_loses_nothing_and_stores_nothing_twice(
    subscriber: Subscriber, tmp_path: Path
):
    mesh = Mesh(ONE_WAY, subscriber, tmp_path)
    try:
        await mesh.start()
        async with load(mesh.gateways["eu"]) as producers:
            await killed(mesh, [("us",)], random.Random(2))
        await mesh.quiet()
    finally:
        await mesh.kill()

    ids = acknowledged(producers)
    assert await stored_once(mesh.gateways, ids) > 20 * KILLS
    delivered_once(mesh, "eu", ids)
    of_one_entry_each(mesh, "us", ids)


async def test_two_gateways_that_relay_to_each_other_are_killed_and_nothing_is_lost_or_stored_twice(
    subscriber: Subscriber, tmp_path: Path
):
    mesh = Mesh(PAIR, subscriber, tmp_path)
    try:
        await mesh.start()
        async with load(*mesh.gateways.values()) as producers:
            await killed(mesh, [("eu",), ("us",), ("eu", "us"), ("us", "eu")], random.Random(3))
        await mesh.quiet()
    finally:
        await mesh.kill()

    ids = acknowledged(producers)
    assert await stored_once(mesh.gateways, ids) > 20 * KILLS
    for cluster in mesh.gateways:
        of_one_entry_each(mesh, cluster, ids)


# ── restarts ─────────────────────────────────────────────────────────────────────────────────


@thorough
async def test_restarting_both_sides_under_load_loses_nothing_and_delivers_nothing_twice(
    subscriber: Subscriber, tmp_path: Path
):
    """SIGTERM ends transfers and deliveries in order, so here deliveries count one for one everywhere."""
    mesh = Mesh(PAIR, subscriber, tmp_path)
    try:
        await mesh.start()
        async with load(*mesh.gateways.values()) as producers:
            for _ in range(ROUNDS):
                for gateway in mesh.gateways.values():
                    await mesh.crossed()
                    assert await gateway.terminate() == 0
                    await gateway.start()
        await mesh.quiet()
    finally:
        await mesh.kill()

    ids = acknowledged(producers)
    assert await stored_once(mesh.gateways, ids) > 20 * ROUNDS
    for cluster in mesh.gateways:
        delivered_once(mesh, cluster, ids)
