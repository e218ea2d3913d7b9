"""A subscriber that never answers: its neighbours get everything, and its backlog lies on disk."""

from __future__ import annotations

from pathlib import Path

from tests.harness import HANG, Answer, GatewayProcess, Request, Subscriber, running, send_batch

EVENTS = 50_000
BATCH = 500
WINDOW = 1_000

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: healthy}}
spec: {{broker: b, subscriber: {{uri: "{url}/healthy"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: stuck}}
spec: {{broker: b, subscriber: {{uri: "{url}/stuck"}}, delivery: {{timeout: PT60S}}}}
"""


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


async def test_a_subscriber_that_never_answers_delays_nobody_and_costs_bounded_memory(tmp_path: Path):
    def answer(request: Request) -> Answer:
        return HANG if request.path == "/stuck" else Answer()

    async with Subscriber(answer) as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            before = memory(gateway.pid)
            for first in range(0, EVENTS, BATCH):
                status = await send_batch(
                    gateway, "/default/b", (str(n) for n in range(first, first + BATCH))
                )
                assert status == 202
            await subscriber.received(lambda requests: len(requests) >= EVENTS + 64)
            triggers = {t["name"]: t for t in (await gateway.status())["triggers"]}
            grown = memory(gateway.pid) - before

        assert set(subscriber.ids("/healthy")) == {str(n) for n in range(EVENTS)}
        stuck = triggers["default/stuck"]
        assert stuck["window"] == WINDOW
        assert stuck["parked"] + stuck["window"] == EVENTS
        # 50,000 events held in memory would be more than 100 MB; the window and the store's caches are not.
        assert grown < 64 * 2**20


async def test_what_was_parked_is_delivered_when_the_subscriber_answers_again(tmp_path: Path):
    stuck = True

    def answer(request: Request) -> Answer:
        return HANG if stuck and request.path == "/stuck" else Answer()

    async with Subscriber(answer) as subscriber:
        documents = DOCUMENTS.format(url=subscriber.url).replace("PT60S", "PT0.5S, retry: 100")
        gateway = GatewayProcess(documents, tmp_path)
        async with running(gateway):
            for first in range(0, 3_000, BATCH):
                await send_batch(gateway, "/default/b", (str(n) for n in range(first, first + BATCH)))
            await subscriber.received(lambda requests: len(requests) >= 64)
            stuck = False
            await gateway.settled()

        assert {r.id for r in subscriber.requests if r.path == "/stuck"} >= {str(n) for n in range(3_000)}
