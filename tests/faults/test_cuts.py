"""Connections to the broker's server are cut again and again, half of the times only for what the server says.

`MESH_CUTS` is how many cuts: 20 in `make test-faults`, 100 are promised (`MESH_CUTS=100`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest

from mesh_gateway.testing.proxy import Proxy
from tests.faults.figures import counts
from tests.faults.scale import scaled, thorough
from tests.harness import GatewayProcess, Producer, Subscriber, acknowledged_more, load, running
from tests.transports import KAFKA, RABBITMQ, Backing, Mesh, one_trigger

pytestmark = thorough

CUTS = scaled(6, 20, "MESH_CUTS")

BREATH = 0.2
"""Some 150 events a second: what is in flight at a cut fits a trigger's window."""

SETTLING = 0.5
"""Seconds after which what the subscriber has answered is settled on the server: Kafka is told twenty times a second."""

DEAF = 1.0
"""Seconds for which what the server says is lost."""


@pytest.mark.parametrize("backing", [KAFKA, RABBITMQ], indirect=True, ids=lambda backing: backing.kind)
async def test_cuts_lose_nothing_and_repeat_only_what_was_in_flight(backing: Backing, tmp_path: Path):
    async with Subscriber() as subscriber, backing.proxy() as proxy:
        gateway = Mesh(backing.through(proxy), tmp_path)(one_trigger(subscriber.url))
        in_flight = 0
        async with running(gateway):
            async with load(gateway, breath=BREATH) as producers:
                for number in range(CUTS):
                    await acknowledged_more(producers)
                    await caught_up(gateway, subscriber, producers)
                    in_flight += await cut(proxy, subscriber, producers, deaf=number % 2 == 1)
                await acknowledged_more(producers)
            acknowledged = {id for producer in producers for id in producer.acknowledged}
            await arrived(subscriber, acknowledged)

        repeated = sum(count - 1 for count in Counter(subscriber.ids()).values())
        of = {"cuts": CUTS, "events": len(acknowledged), "in flight": in_flight, "that came again": repeated}
        counts(7, **{f"{backing.kind} {what}": value for what, value in of.items()})
        assert repeated <= in_flight, f"{repeated} came again, {in_flight} were in flight when it was cut"
        assert {status for p in producers for status in p.answers} <= {202, 503}


async def caught_up(gateway: GatewayProcess, subscriber: Subscriber, producers: list[Producer]) -> None:
    """Returns once what the last cut brought again has ended, too: each cut is counted by itself."""
    acknowledged = {id for producer in producers for id in producer.acknowledged}
    await arrived(subscriber, acknowledged)
    await gateway.settled()


async def arrived(subscriber: Subscriber, acknowledged: set[str]) -> None:
    """Returns once all these were answered. A consumer of Kafka that fetches no more is found out after half a minute."""
    for _ in range(4):
        with contextlib.suppress(TimeoutError):
            await subscriber.received(lambda _: acknowledged <= subscriber.answered)
            return
    raise AssertionError(f"these did not arrive: {sorted(acknowledged - subscriber.answered)[:10]}")


async def cut(proxy: Proxy, subscriber: Subscriber, producers: list[Producer], *, deaf: bool) -> int:
    """One cut, with deliveries under way; how many events had been taken and not answered by the subscriber by then."""
    subscriber.answering.clear()
    done = set(subscriber.answered)
    await acknowledged_more(producers, 20)
    await asyncio.sleep(SETTLING)
    in_flight = len({id for p in producers for id in (*p.acknowledged, *p.sent[-1:])} - done)
    if deaf:
        proxy.lose_answers()
        await proxy.answer_lost.wait()
        await asyncio.sleep(DEAF)
        proxy.resume()
    else:
        proxy.cut()
    subscriber.answering.set()
    return in_flight
