"""The wall clock of a running gateway jumps by an hour and by a day, ahead and back, while retries are due.

libfaketime moves what the process takes for the time of day and leaves its monotonic clock alone. Attempts are counted,
not timed: a retry that is due in an hour has not come by the time in which others have come and ended.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.harness import Answer, GatewayProcess, Producer, Request, Subscriber, running
from tests.transports import REQUIRED

LIBRARY = os.environ.get("MESH_TEST_FAKETIME", "")

HOUR, DAY = 3600, 86_400

TRIES = 5
"""Of the trigger that is never answered well: one, and four retries."""

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: quick}}
spec:
  broker: b
  subscriber: {{uri: "{url}/quick"}}
  delivery: {{retry: 4, backoffPolicy: linear, backoffDelay: PT0.02S, deadLetterSink: {{uri: "{url}/letters"}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: patient}}
spec:
  broker: b
  subscriber: {{uri: "{url}/patient"}}
  delivery: {{retry: 4, backoffPolicy: linear, backoffDelay: PT1H}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: told}}
spec:
  broker: b
  subscriber: {{uri: "{url}/told"}}
  delivery: {{retry: 4, backoffPolicy: linear, backoffDelay: PT0.1S}}
"""


def answer(request: Request) -> Answer:
    if request.path == "/letters":
        return Answer()
    if request.path == "/told":
        return Answer(503, {"retry-after": "500"})
    return Answer(503)


@pytest.mark.slow
async def test_no_retry_comes_early_or_not_at_all_and_nothing_is_lost_when_the_wall_clock_jumps(
    tmp_path: Path,
):
    if not LIBRARY:
        said = "no libfaketime: scripts/services tools, then eval its env"
        pytest.fail(said) if REQUIRED else pytest.skip(said)
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    environment = {
        "LD_PRELOAD": LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",  # else Python takes what it has compiled for out of date
    }
    sent: list[str] = []
    async with Subscriber(answer) as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path, environment)

        async def an_event_meets_its_end(id: str) -> None:
            sent.append(id)
            await Producer(gateway.ingress, "/default/b").send([id])
            await subscriber.received(lambda requests: id in {r.id for r in requests if r.path == "/letters"})

        async with running(gateway):
            await an_event_meets_its_end("before")
            dates = []
            for jump in (HOUR, DAY, 0, -HOUR, -DAY, 0):
                offset.write_text(f"{jump:+d}\n")
                await an_event_meets_its_end(f"at{jump}" if jump else f"back{len(sent)}")
                dates.append(subscriber.requests[-1].headers["ce-knativearrivaltime"])
            counts = {path: [subscriber.ids(path).count(id) for id in sent] for path in PATHS}
            await gateway.kill()
            offset.write_text(f"{DAY:+d}\n")
            await gateway.start()
            await subscriber.received(
                lambda requests: all(subscriber.ids(path).count(id) >= 2 for path in PATIENT for id in sent)
            )

    assert len({date[:10] for date in dates}) >= 3, "the clock did not jump"
    assert counts["/quick"] == [TRIES] * len(sent)
    assert counts["/patient"] == counts["/told"] == [1] * len(sent), "retries that are due in an hour came"
    assert set(subscriber.ids("/letters")) == set(sent)


PATIENT = ("/patient", "/told")
"""Their first retries are due when nobody waits any more; after a restart they are tried anew."""

PATHS = ("/quick", *PATIENT)
