"""Each transport against its real server: publish, and receive + settle, CPU of our process alone, batches of 100."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from typing import Any

import uvloop
import yaml

from mesh_gateway.event import Event
from mesh_gateway.transport.contract import EARLIEST, SHARED, ChannelSpec, Ensure, Transport, TransportContext
from mesh_gateway.transport.plugins import import_string, load_plugins
from tests.transports import BACKINGS, Backing

RUNS, SIZE, BATCHES = 3, 100, 50


def run() -> list[tuple[str, float, str]]:
    rows: list[tuple[str, float, str]] = []
    for backing in BACKINGS:
        if backing.variable and not backing.server:
            rows.append((f"{backing.kind}: no server", 0.0, f"scripts/services up {backing.kind}"))
            continue
        found = [uvloop.run(_measured(backing)) for _ in range(RUNS)]
        for name, costs in zip(("publish", "receive + settle"), zip(*found, strict=True), strict=True):
            rows.append(
                (f"{backing.kind}: {name}", statistics.median(costs), f"{min(costs):.1f}–{max(costs):.1f}")
            )
    return rows


def _transport(backing: Backing) -> Transport:
    document: dict[str, Any] = next(
        one for one in yaml.safe_load_all(backing.document(f"bench{uuid.uuid4().hex[:8]}")) if one
    )
    kind = load_plugins().transports[backing.kind]
    options = import_string(kind.options).model_validate(document["spec"].get("options") or {})
    transport: Transport = import_string(kind.load)(options, TransportContext(backing.kind, None))
    return transport


async def _measured(backing: Backing) -> tuple[float, float]:
    """(CPU µs to publish an event, CPU µs to receive and settle it)."""
    transport = _transport(backing)
    await transport.open()
    spec = ChannelSpec("bench", "b")
    await transport.ensure(spec, Ensure.CREATE)
    data = json.dumps({"text": "x" * 1_000}).encode()
    batch = [
        Event.new(type="t", source="/s", id=str(n), data=data, datacontenttype="application/json")
        for n in range(SIZE)
    ]
    await transport.publish(spec.name, batch)
    began = time.process_time()
    for _ in range(BATCHES):
        await transport.publish(spec.name, batch)
    published = time.process_time() - began
    subscription = await transport.subscribe(spec.name, SHARED, EARLIEST)
    left = (BATCHES + 1) * SIZE
    began = time.process_time()
    while left > 0:
        received = await subscription.receive(256)
        await subscription.settle(received)
        left -= len(received)
    consumed = time.process_time() - began
    await subscription.close()
    await transport.close()
    return published / (BATCHES * SIZE) * 1e6, consumed / ((BATCHES + 1) * SIZE) * 1e6
