"""A hundred subscribers that answer so as to hurt: each attempt ends, memory stays, the neighbours have everything."""

from __future__ import annotations

from pathlib import Path

from tests.faults.hostile import HostileServer
from tests.faults.test_stuck_subscriber import memory
from tests.harness import GatewayProcess, Subscriber, running, send_batch

HOSTILE = 100
EVENTS = 60
MEMORY = 96 * 2**20
"""Bytes that the process may grow by: buffers of some thousand sockets and the store's cache. One gzip bomb inflated for each
attempt would be more than a hundred gigabytes; endless answers collected until their deadline, several."""

BROKER = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
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
    async with HostileServer() as hostile, Subscriber() as good:
        documents = BROKER + "".join(HEALTHY.format(number=n, url=good.url) for n in range(3))
        documents += "".join(TRIGGER.format(number=n, url=hostile.url) for n in range(HOSTILE))
        gateway = GatewayProcess(documents, tmp_path)
        async with running(gateway):
            before = memory(gateway.pid)
            ids = [str(n) for n in range(EVENTS)]
            for first in range(0, EVENTS, 20):
                assert await send_batch(gateway, "/default/b", ids[first : first + 20]) == 202
            await good.received(lambda some: len(some) >= 3 * EVENTS)
            await gateway.settled()
            status = await gateway.status()  # asked anew: one answer is not of one moment
            grown = memory(gateway.pid) - before
            assert await gateway.terminate() == 0

        assert hostile.asked == set(range(HOSTILE))
        for number in range(3):
            assert sorted(good.ids(f"/{number}")) == sorted(ids)
        ended = {t["name"]: t["delivered"] + t["dead_lettered"] for t in status["triggers"]}
        assert [name for name, count in ended.items() if count != EVENTS] == []
        stored = sum(t["dead_lettered"] for t in status["triggers"])
        assert status["brokers"][0]["dead_letters"] == stored > HOSTILE * EVENTS / 2
        assert grown < MEMORY, f"{grown / 2**20:.0f} MiB"
        assert "Traceback" not in gateway.log.read_text()
