"""Clients that attack the ingress of a whole process: refused, bounded, and in nobody's way."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import resource
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from mesh_gateway.event import Event
from tests.faults.figures import compare, counts, figure, memory
from tests.faults.scale import scaled
from tests.faults.steady import steady
from tests.harness import PATIENCE, GatewayProcess, Producer, Subscriber, running
from tests.ingress.attacks import HIDDEN, REFUSED, TRUNCATED
from tests.ingress.mutants import mutant, requests
from tests.ingress.serving import event

DOCUMENTS = """
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {{name: g}}
spec: {{ingress: {{headerTimeout: PT3S, bodyTimeout: PT3S, idleTimeout: PT5S, maxConnections: 2500}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: orders, namespace: shop}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: calm, namespace: shop}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: all, namespace: shop}}
spec: {{broker: orders, subscriber: {{uri: "{url}/"}}}}
"""

MUTANTS = 1_000
SLOW = 2_000
AT_ONCE = 20
QUIET = scaled(3.0, 10.0)
"""Seconds of good traffic alone, to compare with."""

MEMORY = 5 * 10**6
"""Bytes that a process may grow by under attack, once each has been met: caches that fill once are full then. What is collected
without bound (the heads without end are 40 kB each) would be more."""


async def told(port: int, raw: bytes) -> list[int]:
    """The statuses of all answers until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(raw)
            writer.write_eof()
            said = await reader.read()
    except ConnectionError:
        pass  # closed in the middle of what was sent
    finally:
        writer.transport.abort()
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 ([0-9]{3}) ", said, re.MULTILINE)]


async def all_told(port: int, several: Sequence[bytes], at_once: int = AT_ONCE) -> list[int]:
    found: list[int] = []
    for first in range(0, len(several), at_once):
        answers = await asyncio.gather(*(told(port, raw) for raw in several[first : first + at_once]))
        found += [status for statuses in answers for status in statuses]
    return found


def may_come_from(one: Event, sent: Sequence[bytes]) -> bool:
    return any(request.holds(one) for raw in sent for request in requests(raw))


async def test_attacks_and_mutants_store_nothing_foreign_and_cost_no_memory(tmp_path: Path) -> None:
    attacks = [*(raw + HIDDEN for raw in REFUSED.values()), *TRUNCATED.values()]
    chance = random.Random(1)
    mutants = [mutant(chance) for _ in range(MUTANTS)]
    async with Subscriber() as subscriber, steady() as good:
        gateway = GatewayProcess(
            DOCUMENTS.format(url=subscriber.url) + good.trigger("calm", "shop"), tmp_path
        )
        async with running(gateway):
            fresh = memory(gateway.pid)
            assert {status // 100 for status in await all_told(gateway.ingress, attacks)} == {4}
            assert (await status_of(gateway))["accepted"] == 0
            seen = await all_told(gateway.ingress, mutants[: MUTANTS // 2])
            good.send(f"{gateway.url}/shop/calm", "before")
            await asyncio.sleep(QUIET)
            before = memory(gateway.pid)

            good.send(f"{gateway.url}/shop/calm", "one attacker")
            seen += await all_told(gateway.ingress, mutants[MUTANTS // 2 :], 1)
            await all_told(gateway.ingress, attacks, 1)
            good.send(f"{gateway.url}/shop/calm", f"{AT_ONCE} attackers at full speed")
            for _ in range(2):
                await all_told(gateway.ingress, attacks)
            after = memory(gateway.pid)

            seconds = await good.stop()
            assert {status for status in seen if status >= 500} == set()
            assert {status // 100 for status in seen} <= {1, 2, 4}
            await gateway.settled()
            accepted = (await status_of(gateway))["accepted"]
            await subscriber.received(lambda some: len(some) >= accepted)
            await Producer(gateway.ingress, "/shop/orders").send(["still-there"])
            await subscriber.received(lambda some: some[-1].id == "still-there")

        counts(14, attacks=4 * len(attacks), mutants=MUTANTS)
        figure(14, "the process grew by, when each had been met", (after - before) / 10**6, "MB")
        figure(14, "from its start on", (after - fresh) / 10**6, "MB")
        compare(14, "good traffic", seconds, than="before")
        delivered = [
            Event.new(type="t", source="/s", id=unquote(one.id), data=one.body)
            for one in subscriber.requests
            if one.id != "still-there"
        ]
        assert len(delivered) == accepted > 100
        assert [one.id for one in delivered if not may_come_from(one, mutants)] == []
        assert "Traceback" not in gateway.log.read_text()
        assert after - before < MEMORY


async def status_of(gateway: GatewayProcess) -> dict[str, Any]:
    """Of the Broker that is attacked."""
    found: list[dict[str, Any]] = (await gateway.status())["brokers"]
    return next(one for one in found if one["name"] == "shop/orders")


# ── two thousand slow clients ────────────────────────────────────────────────────────────────


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Start processes with the 1,024 open files that most systems begin with; this one may have enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = SLOW + 500
    if hard != resource.RLIM_INFINITY and hard < 2 * needed:
        pytest.skip(f"the system grants {hard} open files, and this needs {2 * needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    yield needed
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Slow:
    """Clients that send one byte after the other, and have all the time in the world."""

    def __init__(self) -> None:
        self.open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def come(self, port: int, begin: bytes, count: int) -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begin)
            self.open.append((reader, writer))

    async def trickle(self) -> None:
        while True:
            for _, writer in self.open:
                if not writer.transport.is_closing():
                    writer.write(b"x")
            await asyncio.sleep(0.2)

    async def all_ended(self) -> None:
        """Returns when the gateway has closed every one of them."""
        async with asyncio.timeout(PATIENCE):
            for reader, _ in self.open:
                with contextlib.suppress(ConnectionError):
                    await reader.read()


@contextlib.asynccontextmanager
async def slow_clients() -> AsyncIterator[Slow]:
    slow = Slow()
    trickling = asyncio.ensure_future(slow.trickle())
    try:
        yield slow
    finally:
        trickling.cancel()
        for _, writer in slow.open:
            writer.transport.abort()


async def test_two_thousand_slow_clients_keep_nobody_away_and_lose_their_places(
    tmp_path: Path, few_descriptors: int
) -> None:
    async with Subscriber() as subscriber, steady() as good:
        gateway = GatewayProcess(
            DOCUMENTS.format(url=subscriber.url) + good.trigger("calm", "shop"), tmp_path
        )
        async with running(gateway):
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (2 * few_descriptors, hard))
            good.send(f"{gateway.url}/shop/calm", "before")
            await asyncio.sleep(QUIET)
            expected = 0
            reclaimed = []
            for _ in range(2):  # the second time in the places of the first
                async with slow_clients() as slow:
                    for begin in (
                        b"",
                        b"POST /shop/orders HTTP/1.1\r\nhost: a\r\nx: ",
                        event("slow", b"x" * 1_000)[:-999],
                    ):
                        await slow.come(gateway.ingress, begin, SLOW // 3)
                        good.send(f"{gateway.url}/shop/calm", "beside slow clients")
                        for _ in range(20):  # each on a connection of its own
                            producer = Producer(gateway.ingress, "/shop/orders")
                            await producer.send([f"good-{expected}"])
                            assert producer.answers == [202]
                            expected += 1
                    begun = time.monotonic()
                    await slow.all_ended()
                    reclaimed.append(time.monotonic() - begun)
            seconds = await good.stop()
            await gateway.settled()
            accepted = (await status_of(gateway))["accepted"]
            await subscriber.received(lambda some: len(some) >= expected)

        counts(15, slow_clients=SLOW, new_clients_served=expected)
        figure(15, "from the last slow client to all places free (timeouts of 3 to 5 s)", max(reclaimed), "s")
        compare(15, "good traffic", seconds, than="before")
        assert accepted == expected
        assert sorted(subscriber.ids()) == sorted(f"good-{n}" for n in range(expected))
