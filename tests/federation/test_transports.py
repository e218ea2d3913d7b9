"""Gateways whose brokers lie on Kafka, RabbitMQ and SQS, relaying to each other: nothing lost, each event once.

What is counted. A broker stamps every message that it stores with the moment (`knativearrivaltime`), and subscribers
see the stamp: two stamps of one event are two stored copies of it. One copy may be delivered again after a kill, as
everywhere. A second copy may be delivered only in the place of the first: after a kill between the first one's delivery
and the note that the event has ended. So one life of a gateway never delivers two, and what was noted is never followed by another.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.testing.proxy import Proxy
from tests.federation.places import LONG_PATIENCE, Mesh, documents, relay, samples
from tests.federation.test_gateways import PAIR, everywhere_once
from tests.harness import (
    GatewayProcess,
    Producer,
    Request,
    Subscriber,
    acknowledged_more,
    load,
    send_batch,
)
from tests.transports import KAFKA, ON_MAIN, RABBITMQ, SQS, Backing

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SAME = [(KAFKA, KAFKA), (RABBITMQ, RABBITMQ), (SQS, SQS)]
MIXED = (KAFKA, RABBITMQ)

ORDERED = "metadata: {name: all, annotations: {mesh-gateway.dev/order: ordered}}"


class Pair(Mesh):
    """`eu` and `us`, each with its broker on a transport, relaying both ways."""

    def __init__(self, backings: tuple[Backing, Backing], subscriber: Subscriber, directory: Path) -> None:
        self.seen = subscriber
        own = uuid.uuid4().hex[:10]
        self.transports = {
            cluster: backing.document(f"t{own}{cluster}")
            for cluster, backing in zip(("eu", "us"), backings, strict=True)
        }
        self.kills: dict[str, list[int]] = {"eu": [], "us": []}
        """How many requests had come at each kill of a gateway."""
        super().__init__(PAIR, subscriber, directory)

    def route(self, url: Callable[[str, str], str]) -> None:
        for cluster, gateway in self.gateways.items():
            [other] = self.gateways.keys() - {cluster}
            text = documents(
                cluster, [other], {other: url(cluster, other)}, self.seen.url,
                transport=self.transports[cluster], main=ON_MAIN,
            )  # fmt: skip
            gateway.file.write_text(text)

    def keep_order(self) -> None:
        """Have both triggers deliver in order."""
        for gateway in self.gateways.values():
            gateway.file.write_text(gateway.file.read_text().replace("metadata: {name: all}", ORDERED))

    async def relay(self, cluster: str) -> dict[str, Any]:
        """The status of the cluster's only relay."""
        [other] = self.gateways.keys() - {cluster}
        return await relay(self.gateways[cluster], f"to-{other}")

    async def kill_one(self, cluster: str) -> None:
        """kill -9 of this gateway."""
        await self.gateways[cluster].kill()
        self.kills[cluster].append(len(self.seen.requests))

    def lives(self, cluster: str) -> list[list[Request]]:
        """What the cluster's trigger delivered, by the lives of its gateway."""
        bounds = [0, *self.kills[cluster], len(self.seen.requests)]
        return [
            [one for one in self.seen.requests[start:end] if one.path == f"/{cluster}"]
            for start, end in pairwise(bounds)
        ]

    def stamps(self, cluster: str) -> dict[str, set[str]]:
        """The stamps under which the cluster's trigger got each event."""
        return stamps(one for one in self.seen.requests if one.path == f"/{cluster}")


def stamps(requests: Iterable[Request]) -> dict[str, set[str]]:
    """By the event's id."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in requests:
        found[one.id].add(one.headers["ce-knativearrivaltime"])
    return found


async def second_copies(gateway: GatewayProcess) -> int:
    """Found at reading and not delivered since it started, once for each group that reads."""
    found = (await samples(gateway)).get("mesh_gateway_relayed_duplicates_total", {})
    return int(sum(found.values()))


async def settled(gateway: GatewayProcess) -> None:
    """Returns once its readers hold nothing."""
    await gateway.settled()
    async with asyncio.timeout(LONG_PATIENCE):
        while any((await samples(gateway))["mesh_gateway_unsettled_events"].values()):
            await asyncio.sleep(0.05)


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    async with Subscriber() as made:
        yield made


@pytest.fixture
async def pair(request: pytest.FixtureRequest, subscriber: Subscriber, tmp_path: Path) -> AsyncIterator[Pair]:
    backings: tuple[Backing, Backing] = request.param
    for backing in backings:
        backing.skip_if_absent()
    made = Pair(backings, subscriber, tmp_path)
    try:
        yield made
    finally:
        await made.kill()


def on(*pairs: tuple[Backing, Backing]) -> pytest.MarkDecorator:
    """Run the test over these."""
    return pytest.mark.parametrize(
        "pair", pairs, ids=["-".join(backing.kind for backing in one) for one in pairs], indirect=True
    )


async def nothing_is_lost(pair: Pair, producers: Iterable[Producer]) -> None:
    """Every acknowledged event reaches both triggers."""
    await everything_arrives(pair, {id for one in producers for id in one.acknowledged})


async def everything_arrives(pair: Pair, ids: set[str]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONG_PATIENCE):
            while not all(ids <= pair.counts(cluster).keys() for cluster in pair.gateways):
                await asyncio.sleep(0.2)
    for cluster in pair.gateways:
        missing = ids - pair.counts(cluster).keys()
        assert not missing, f"{len(missing)} of {len(ids)} acknowledged events never reached {cluster}"


def no_life_delivered_two_copies(pair: Pair) -> None:
    for cluster in pair.gateways:
        for life in pair.lives(cluster):
            found = stamps(life)
            twice = {id: own for id, own in found.items() if len(own) > 1}
            assert not twice, (
                f"{cluster} delivered two copies of {len(twice)} of {len(found)} events: {twice}"
            )


@on(*SAME, MIXED)
async def test_every_event_reaches_both_gateways_once(pair: Pair):
    await pair.start()
    await pair.met()
    producers = {cluster: pair.producer(cluster) for cluster in pair.gateways}
    await asyncio.gather(
        *(one.send([f"{cluster}-{n}" for n in range(100)]) for cluster, one in producers.items())
    )

    ids = [id for one in producers.values() for id in one.acknowledged]
    assert len(ids) == 200
    await everywhere_once(pair, ids)
    for cluster in pair.gateways:
        found = await pair.relay(cluster)
        assert found["mode"] == "batches"
        assert (found["accepted"], found["duplicate"]) == (100, 0)


@on(*SAME, MIXED)
async def test_gateways_that_are_killed_lose_nothing(pair: Pair):
    await pair.start()
    async with load(*pair.gateways.values(), breath=0.2) as producers:
        for clusters in (["us"], ["eu", "us"]):
            await acknowledged_more(producers, 100)
            for cluster in clusters:
                await pair.kill_one(cluster)
            for cluster in clusters:
                await pair.gateways[cluster].start(until_ready=False)
        await acknowledged_more(producers, 100)

    await nothing_is_lost(pair, producers)
    no_life_delivered_two_copies(pair)


@on(*SAME)
async def test_what_is_stored_twice_because_its_receiver_was_killed_before_it_answered_is_delivered_once(
    pair: Pair,
):
    us = pair.gateways["us"]
    async with Proxy(("127.0.0.1", us.ingress)) as proxy:
        pair.route(
            lambda _, to: "http://{}:{}".format(*proxy.address) if to == "us" else pair.gateways[to].url
        )
        await pair.start()
        await pair.met()
        proxy.lose_answers()
        ids = [f"e{n}" for n in range(50)]
        assert await send_batch(pair.gateways["eu"], "/default/b", ids) == 202
        await pair.seen.received(lambda _: len(pair.counts("us")) >= 1)
        await settled(us)
        heard = len(pair.counts("us"))
        await pair.kill_one("us")
        proxy.resume()
        await us.start()

        await everything_arrives(pair, set(ids))
        async with asyncio.timeout(LONG_PATIENCE):  # all that it had stored in its first life comes again
            while await second_copies(us) < heard:
                await asyncio.sleep(0.1)
    assert {id: len(own) for id, own in pair.stamps("us").items()} == dict.fromkeys(ids, 1)


@on((KAFKA, KAFKA), (RABBITMQ, RABBITMQ))
async def test_a_server_that_is_away_for_a_while_holds_relays_up_and_no_longer(pair: Pair):
    backing = next(one for one in (KAFKA, RABBITMQ) if f"kind: {one.kind}" in pair.transports["eu"])
    await pair.start()
    producers = {cluster: pair.producer(cluster) for cluster in pair.gateways}
    for cluster, one in producers.items():
        await one.send([f"{cluster}-{n}" for n in range(100)])
    await backing.service("stop")
    try:
        await asyncio.sleep(1.0)
    finally:
        await backing.service("start")

    for cluster, one in producers.items():
        async with asyncio.timeout(LONG_PATIENCE):
            for n in range(100, 1_000_000):
                await one.send([f"{cluster}-{n}"])
                if len(one.acknowledged) >= 150:
                    break
                await asyncio.sleep(0 if one.answers[-1] == 202 else 0.1)
    await nothing_is_lost(pair, producers.values())
    no_life_delivered_two_copies(pair)


@on((SQS, SQS))
async def test_a_relay_out_of_a_transport_without_groups_has_its_events_copied(pair: Pair):
    eu, us = (pair.gateways[cluster] for cluster in ("eu", "us"))
    await eu.start()
    producer = pair.producer("eu")
    ids = [f"e{n}" for n in range(50)]
    await producer.send(ids)

    await pair.seen.received(lambda _: len(pair.counts("eu")) >= 50)
    async with asyncio.timeout(LONG_PATIENCE):
        while (waiting := (await pair.relay("eu"))["backlog"]) != 50:
            await asyncio.sleep(0.1)
    assert waiting == 50, "they wait for a target that is not there, and for nobody else"
    await us.start()

    await everywhere_once(pair, ids)
    assert (await pair.relay("eu"))["accepted"] == 50


@on((KAFKA, KAFKA))
async def test_events_of_one_key_arrive_in_order_although_the_receiver_is_killed(pair: Pair):
    pair.keep_order()
    await pair.start()
    await pair.met()
    keys = [f"k{n}" for n in range(6)]
    producers = {key: pair.producer("eu") for key in keys}
    sending = asyncio.gather(
        *(one.send([f"{key}-{n}" for n in range(150)], partitionkey=key) for key, one in producers.items())
    )
    await pair.seen.received(lambda _: len(pair.counts("us")) >= 100)
    await pair.kill_one("us")
    await pair.gateways["us"].start()
    await sending

    await nothing_is_lost(pair, producers.values())
    no_life_delivered_two_copies(pair)
    for key in keys:
        arrived = [int(r.id.partition("-")[2]) for r in _at(pair, "/us") if r.id.startswith(f"{key}-")]
        assert list(dict.fromkeys(arrived)) == list(range(150)), f"{key} overtook itself"


def _at(pair: Pair, path: str) -> list[Request]:
    return [request for request in pair.seen.requests if request.path == path]
