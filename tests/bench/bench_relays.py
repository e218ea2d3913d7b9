"""A relay between two gateways: what an event costs the sender and the receiver, in transfers and one by one.

Events of 1 KiB wait in the source's store while the way is closed; then it is opened, and the CPU time of both processes
is counted until the last verdict is settled. So ingress and triggers are not in it; reading the log, the outbox, the
link, judging and storing are.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from mesh_gateway.testing.proxy import Proxy
from tests.bench.bench_end_to_end import BODY, _cpu
from tests.federation.places import documents, environment
from tests.harness import GatewayProcess, post

EVENTS = 20_000
BATCH = 500
RUNS = 3
POLL = 1.0
"""Seconds between two looks whether all has crossed: each costs both processes milliseconds."""
CLUSTERS = ("eu", "us")


def run() -> list[tuple[str, float, str]]:
    """Two rows for each way of sending: the sender's and the receiver's µs per event."""
    rows: list[tuple[str, float, str]] = []
    ways: list[tuple[str, Callable[[str], str]]] = [
        ("transfers", lambda text: text),
        (
            "transfers, gzip",
            lambda text: text.replace("start: earliest", "start: earliest\n  compression: gzip"),
        ),
        ("single events", _without_credential),
    ]
    for way, change in ways:
        found = [asyncio.run(_measured(change)) for _ in range(RUNS)]
        for side, costs in zip(("sender", "receiver"), zip(*found, strict=True), strict=True):
            note = f"{min(costs):.1f}–{max(costs):.1f}"
            rows.append((f"relay, {way}: {side}", statistics.median(costs), note))
    return rows


def _without_credential(text: str) -> str:
    """To a gateway that does not know the sender, events go one by one, as to any CloudEvents endpoint."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("  auth:"))


async def _measured(change: Callable[[str], str]) -> tuple[float, float]:
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
                before = _cpu(sender.pid), _cpu(receiver.pid)
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
    filling = _cpu(sender.pid)
    headers = {"content-type": "application/cloudevents-batch+json"}
    for first in range(before, before + EVENTS, BATCH):
        body = json.dumps([_event(number) for number in range(first, first + BATCH)]).encode()
        assert await asyncio.to_thread(post, sender.url + "/default/b", body, headers) == 202
    filled = _cpu(sender.pid) - filling
    way.resume()
    while (await receiver.status())["brokers"][0]["accepted"] < before + EVENTS:
        await asyncio.sleep(POLL)
    while (await sender.status())["relays"][0]["backlog"]:
        await asyncio.sleep(POLL)
    return _cpu(sender.pid) - filled, _cpu(receiver.pid)


def _event(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"a1b2c3d4-0000-4000-8000-{number:012d}",
        "source": "/shop/orders/eu-west-1",
        "type": "com.example.order.created",
        "subject": "order/12345",
        "time": "2026-10-01T12:00:00.123456Z",
        "tenant": "acme",
        "datacontenttype": "application/json",
        "data": json.loads(BODY),
    }
