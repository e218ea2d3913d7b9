"""A hundred subscribers that answer so as to hurt: each attempt ends, memory stays, the neighbours have everything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.faults.figures import compare, counts, figure, memory
from tests.faults.hostile import HostileServer
from tests.faults.scale import scaled
from tests.faults.steady import steady
from tests.harness import PATIENCE, GatewayProcess, Request, Subscriber, running, send_batch

HOSTILE = 100
ROUND = 60
"""Events for everybody, twice: in the second round the buffers of some thousand sockets and the store's cache are there."""

BATCH = 20
"""Events at once in the first round: two thousand attempts."""

BREATH = 0.2
"""Seconds after each event of the second: two hundred attempts a second with their retries, which leave the gateway some time, so
that it is the subscribers that are tried and not its speed."""

QUIET = scaled(3.0, 10.0)
"""Seconds of good traffic alone, to compare with."""

MEMORY = 96 * 2**20
"""Bytes that the process may grow by in the first round. One gzip bomb inflated for each attempt would be more than a hundred
gigabytes; endless answers collected until their deadline, several."""

AGAIN = 10 * 10**6
"""And in the second one, in which it is to be flat: holes of the allocator."""

BROKER = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: calm}
"""

HEALTHY = """---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: healthy-{number}}}
spec: {{broker: b, subscriber: {{uri: "{url}/{number}"}}}}
"""

TRIGGER = """---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: hostile-{number}, annotations: {{mesh-gateway.dev/parallelism: "16"}}}}
spec:
  broker: b
  subscriber: {{uri: "{url}/{number}"}}
  delivery: {{retry: 1, backoffPolicy: linear, backoffDelay: PT0.1S, timeout: PT1S, retryAfterMax: PT0.5S}}
"""


async def test_a_hundred_hostile_subscribers_hurt_nobody_and_nothing_is_lost(tmp_path: Path) -> None:
    async with HostileServer() as hostile, Subscriber() as healthy, steady() as good:
        documents = BROKER + "".join(HEALTHY.format(number=n, url=healthy.url) for n in range(3))
        documents += "".join(TRIGGER.format(number=n, url=hostile.url) for n in range(HOSTILE))
        gateway = GatewayProcess(documents + good.trigger("calm"), tmp_path)
        ids = [str(n) for n in range(2 * ROUND)]
        async with running(gateway):
            good.send(f"{gateway.url}/default/calm", "before")
            await asyncio.sleep(QUIET)
            sizes = [memory(gateway.pid)]
            for phase, batch, pause in (("a burst", BATCH, 0.0), ("a steady stream", 1, BREATH)):
                good.send(f"{gateway.url}/default/calm", phase)
                first = (len(sizes) - 1) * ROUND
                for start in range(first, first + ROUND, batch):
                    assert await send_batch(gateway, "/default/b", ids[start : start + batch]) == 202
                    await asyncio.sleep(pause)
                await healthy.received(partial(at_least, 3 * (first + ROUND)))
                await settled(gateway)
                sizes.append(memory(gateway.pid))
            seconds = await good.stop()
            status = await gateway.status()  # asked anew: one answer is not of one moment
            assert await gateway.terminate() == 0

        first, again = sizes[1] - sizes[0], sizes[2] - sizes[1]
        counts(17, hostile_subscribers=HOSTILE, events_for_each=2 * ROUND)
        figure(17, "the process grew by, in bursts", first / 10**6, "MB")
        figure(17, "the process grew by, in a stream after it", again / 10**6, "MB")
        compare(17, "another Trigger", seconds, than="before")
        assert hostile.asked == set(range(HOSTILE))
        for number in range(3):
            assert sorted(healthy.ids(f"/{number}")) == sorted(ids)
        ended = {
            t["name"]: t["delivered"] + t["dead_lettered"]
            for t in status["triggers"]
            if t["name"] != "default/steady"
        }
        assert [name for name, count in ended.items() if count != len(ids)] == []
        stored = sum(t["dead_lettered"] for t in status["triggers"])
        home = next(b for b in status["brokers"] if b["name"] == "default/b")
        assert home["dead_letters"] == stored > HOSTILE * ROUND
        assert first < MEMORY
        assert again < AGAIN
        assert "Traceback" not in gateway.log.read_text()


def at_least(count: int, requests: Sequence[Request]) -> bool:
    return len(requests) >= count


async def settled(gateway: GatewayProcess) -> None:
    """Returns once no event waits that is not of the good traffic."""
    async with asyncio.timeout(4 * PATIENCE):
        while True:
            await asyncio.sleep(0.1)
            with contextlib.suppress(TimeoutError):  # of one question: it is busy
                triggers = (await gateway.status())["triggers"]
                if not any(t["window"] or t["parked"] for t in triggers if t["name"] != "default/steady"):
                    return
