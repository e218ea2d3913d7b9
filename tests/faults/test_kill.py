"""kill -9 at random moments under load: every acknowledged event is delivered by somebody, some day."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.faults.figures import counts, figure, percentile
from tests.faults.scale import scaled
from tests.harness import Answer, GatewayProcess, Producer, Request, Subscriber, running

KILLS = scaled(10, 100, "MESH_KILLS")

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{delivery: {{retry: 5, backoffPolicy: linear, backoffDelay: PT0.05S}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: steady}}
spec: {{broker: b, subscriber: {{uri: "{url}/steady"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: flaky}}
spec: {{broker: b, subscriber: {{uri: "{url}/flaky"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: refusing}}
spec: {{broker: b, subscriber: {{uri: "{url}/refusing"}}, delivery: {{deadLetterSink: {{uri: "{url}/letters"}}}}}}
"""


async def test_kill_minus_nine_loses_no_acknowledged_event(tmp_path: Path):
    chance = random.Random(20261124)

    def answer(request: Request) -> Answer:
        if request.path == "/flaky":
            return Answer(503 if chance.random() < 0.2 else 202)
        return Answer(400 if request.path == "/refusing" else 202)

    async with Subscriber(answer) as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        producers = [Producer(gateway.ingress, "/default/b") for _ in range(8)]
        restarts: list[float] = []
        for round_number in range(KILLS):
            async with running(gateway):
                sending = asyncio.gather(
                    *(
                        producer.send(f"{round_number}-{index}-{n}" for n in range(100_000))
                        for index, producer in enumerate(producers)
                    )
                )
                await asyncio.sleep(0.05 + 0.4 * chance.random())
                await gateway.kill()
                await sending
                restarts.append(gateway.seconds_to_ready)
        async with running(gateway):
            restarts.append(gateway.seconds_to_ready)
            status = await gateway.settled()

        acknowledged = {id for producer in producers for id in producer.acknowledged}
        counts(1, kills=KILLS, events=len(acknowledged))
        figure(1, "from a start after a kill to ready, median", percentile(restarts[1:], 0.5), "s")
        figure(1, "from a start after a kill to ready, longest", max(restarts[1:]), "s")
        assert len(acknowledged) > KILLS * 10, "the load did not bite"
        for path in ("/steady", "/flaky", "/letters"):
            missing = acknowledged - set(subscriber.ids(path))
            if path == "/flaky":
                missing -= await dead_letters(gateway) if missing else set()
            assert not missing, (
                f"{len(missing)} of {len(acknowledged)} acknowledged events never reached {path}"
            )
        assert {t["name"] for t in status["triggers"]} == {
            "default/steady",
            "default/flaky",
            "default/refusing",
        }


async def dead_letters(gateway: GatewayProcess) -> set[str]:
    """Ids in the broker's dead-letter channel."""
    async with running(gateway):
        _, page = await gateway.get("/api/v1/dead-letters?broker=default/b&limit=1000")
    return {item["id"] for item in page["items"]}
