"""A gateway whose every event meets every end there is, and what must be true of it however often it was killed.

steady     202
flaky      503 once, then 202
crowded    202; its window is so small that most copies are parked
replying   202 with an event, which `replies` is given
refusing   400, so it goes to the dead letter sink, `letters`
buried     400, and there is no dead letter sink: the broker's dead-letter channel
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any

from tests.harness import PATIENCE, Answer, GatewayProcess, Producer, Request, Subscriber, send_batch

TRIGGERS = {
    "steady": "",
    "flaky": "",
    "crowded": "",
    "replying": "",
    "replies": "",
    "refusing": 'delivery: {{deadLetterSink: {{uri: "{url}/letters"}}}}',
    "buried": "delivery: {{}}",
}

BROKER = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
spec: {delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.02S}}
"""

TRIGGER = """
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: {name}, annotations: {{mesh-gateway.dev/window: "{window}"}}}}
spec:
  broker: b
  filter: {{attributes: {{type: {type}}}}}
  subscriber: {{uri: "{url}/{name}"}}
  {delivery}
"""

ENDS = ("steady", "flaky", "crowded", "letters", "replies")
"""Where every event must arrive."""

ROUND, BATCH = 24, 4
"""Events of one `send`, and how many of them come as a batch."""


class Lost(AssertionError):
    """Something acknowledged has not met all its ends."""


class EveryEnd:
    """The subscriber of all of them, the producers, and the account."""

    def __init__(self) -> None:
        self.subscriber = Subscriber(self._answer)
        self.arrived: defaultdict[str, set[str]] = defaultdict(set)
        """Ids by end, of what was taken there."""
        self.buried: set[str] = set()
        self.acknowledged: set[str] = set()
        self.answers: list[int] = []
        self._tried: set[str] = set()
        self._seen = ""
        self._sent = 0

    def documents(self) -> str:
        """With the subscriber's address."""
        return BROKER + "".join(
            TRIGGER.format(
                name=name,
                window=1 if name == "crowded" else 1000,
                type="reply" if name == "replies" else "t",
                url=self.subscriber.url,
                delivery=delivery.format(url=self.subscriber.url),
            )
            for name, delivery in TRIGGERS.items()
        )

    def _answer(self, request: Request) -> Answer:
        end, id = request.path[1:], request.id
        if end == "flaky" and id not in self._tried:
            self._tried.add(id)
            return Answer(503)
        if end in ("refusing", "buried"):
            return Answer(400)
        self.arrived[end].add(id)
        if end == "replying":
            reply = {"ce-specversion": "1.0", "ce-type": "reply", "ce-source": "/replying", "ce-id": id}
            return Answer(200, reply)
        return Answer()

    async def send(self, gateway: GatewayProcess) -> None:
        """Two producers, each event after the answer to the one before, and a batch; ends early when the gateway does."""
        ids = [str(number) for number in range(self._sent, self._sent + ROUND)]
        self._sent += ROUND
        batch, one, other = ids[:BATCH], ids[BATCH::2], ids[BATCH + 1 :: 2]
        producers = [Producer(gateway.ingress, "/default/b") for _ in range(2)]
        await asyncio.gather(
            producers[0].send(one), producers[1].send(other), self._send_together(gateway, batch)
        )
        for producer in producers:
            self.acknowledged.update(producer.acknowledged)
            self.answers += producer.answers

    async def _send_together(self, gateway: GatewayProcess, ids: Sequence[str]) -> None:
        try:
            status = await send_batch(gateway, "/default/b", ids)
        except (OSError, HTTPException):
            return
        self.answers.append(status)
        if status == 202:
            self.acknowledged.update(ids)

    def missing(self) -> dict[str, set[str]]:
        """What was acknowledged and has not arrived, by end."""
        lost = {end: self.acknowledged - self.arrived[end] for end in ENDS}
        lost["buried"] = self.acknowledged - self.buried
        return {end: ids for end, ids in lost.items() if ids}

    async def complete(self, gateway: GatewayProcess, after: str, patience: float = PATIENCE) -> None:
        """Returns when everything acknowledged has met its ends; raises `Lost` after a while, if not."""
        try:
            async with asyncio.timeout(patience):
                while self.missing():
                    await asyncio.sleep(0.01)
                    if self.acknowledged - self.buried:
                        await self._look_into_the_dead_letters(gateway)
        except TimeoutError:
            missing = {end: sorted(ids) for end, ids in self.missing().items()}
            raise Lost(f"after {after} these were acknowledged and are lost: {missing}") from None

    async def arrived_somewhere(self) -> None:
        """Returns when everything acknowledged has come wherever a request tells it."""
        await until(lambda: not self.missing().keys() - {"buried"}, 2)

    async def _look_into_the_dead_letters(self, gateway: GatewayProcess) -> None:
        after = f"&after={self._seen}" if self._seen else ""
        _, page = await gateway.get(f"/api/v1/dead-letters?broker=default/b&limit=1000{after}")
        items: list[dict[str, Any]] = page["items"]
        if items:
            self.buried.update(item["id"] for item in items)
            self._seen = items[-1]["position"]


async def until(fact: Callable[[], bool], seconds: float) -> bool:
    """Whether it has become true within these seconds: for what tells nobody."""
    try:
        async with asyncio.timeout(seconds):
            while not fact():
                await asyncio.sleep(0.005)
    except TimeoutError:
        return False
    return True
