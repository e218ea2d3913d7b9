"""A relay between two gateways: what an event costs the sender and the receiver, in transfers and one by one.

Events of 1 KiB wait in the source's store while the way is closed; then it is opened, and the CPU time of both processes
is counted until the last verdict is settled. So ingress and triggers are not in it; reading the log, the outbox, the
link, judging and storing are.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mesh_gateway.testing.proxy import Proxy
from tests.bench import events, noise
from tests.bench.rows import Row, Sample
from tests.bench.sitting import Sitting
from tests.federation.places import documents, environment
from tests.harness import GatewayProcess, post

EVENTS = 20_000
BATCH = 500
POLL = 1.0
"""Seconds between two looks whether all has crossed: each costs both processes milliseconds."""
CLUSTERS = ("eu", "us")

Change = Callable[[str], str]


def run(sitting: Sitting) -> Iterator[Row]:
    """Two rows for each way of sending: the sender's and the receiver's µs per event."""
    ways: list[tuple[str, Change]] = [
        ("transfers", lambda text: text),
        ("transfers, gzip", _compressed),
        ("single events", _without_credential),
    ]
    for way, change in ways:
        yield from sitting.rows(partial(_once, sitting, way, change), against="forward")


def _once(sitting: Sitting, way: str, change: Change) -> list[Sample]:
    costs = asyncio.run(_measured(change, sitting, way))
    return [
        Sample(f"relay, {way}: {side}", cost)
        for side, cost in zip(("sender", "receiver"), costs, strict=True)
    ]


def _compressed(text: str) -> str:
    return text.replace("start: earliest", "start: earliest\n  compression: gzip")


def _without_credential(text: str) -> str:
    """To a gateway that does not know the sender, events go one by one, as to any CloudEvents endpoint."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("  auth:"))


async def _measured(change: Change, sitting: Sitting, name: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as directory:
        homes = [Path(directory, cluster) for cluster in CLUSTERS]
        for home in homes:
            home.mkdir()
        sender, receiver = (GatewayProcess("", home, environment(CLUSTERS)) for home in homes)
        async with Proxy(("127.0.0.1", receiver.ingress)) as way:
            url = f"http://127.0.0.1:{way.address[1]}"
            sender.file.write_text(_quiet(change(documents("eu", [], {"us": url}, "http://127.0.0.1:9"))))
            receiver.file.write_text(_quiet(documents("us", ["eu"], {}, "http://127.0.0.1:9")))
            try:
                await asyncio.gather(sender.start(), receiver.start())
                await _crossed(sender, receiver, way, 0)  # warm
                before = noise.cpu(sender.pid), noise.cpu(receiver.pid)
                with (
                    sitting.watched(sender.pid, f"relay {name} sender"),
                    sitting.watched(receiver.pid, f"relay {name} receiver"),
                ):
                    after = await _crossed(sender, receiver, way, EVENTS)
                return (after[0] - before[0]) / EVENTS * 1e6, (after[1] - before[1]) / EVENTS * 1e6
            finally:
                for gateway in (sender, receiver):
                    if gateway.runs:
                        await gateway.terminate()


def _quiet(text: str) -> str:
    """Without the trigger that gets everything: only the relay is measured."""
    return "---".join(part for part in text.split("---") if "kind: Trigger" not in part)


async def _crossed(
    sender: GatewayProcess, receiver: GatewayProcess, way: Proxy, before: int
) -> tuple[float, float]:
    """Fill the source while the way is closed, open it, and wait: CPU seconds of both at the end, less the filling."""
    way.refuse()
    filling = noise.cpu(sender.pid)
    headers = {"content-type": "application/cloudevents-batch+json"}
    for first in range(before, before + EVENTS, BATCH):
        batch = [_event(number) for number in range(first, first + BATCH)]
        body = json.dumps(batch).encode()
        assert await asyncio.to_thread(post, sender.url + "/default/b", body, headers) == 202
    filled = noise.cpu(sender.pid) - filling
    way.resume()
    while (await receiver.status())["brokers"][0]["accepted"] < before + EVENTS:
        await asyncio.sleep(POLL)
    while (await sender.status())["relays"][0]["backlog"]:
        await asyncio.sleep(POLL)
    return noise.cpu(sender.pid) - filled, noise.cpu(receiver.pid)


def _event(number: int) -> dict[str, object]:
    return events.member(f"a1b2c3d4-0000-4000-8000-{number:012d}")
