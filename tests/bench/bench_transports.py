"""Each transport against its real server: publish, and receive + settle, batches of 100. SQS against canned answers as well.

What is counted is the CPU of our process; that of the server stands beside it where `scripts/services` has started it.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import uvloop
import yaml

from mesh_gateway.event import Event
from mesh_gateway.testing.ports import free_port
from mesh_gateway.transport.contract import EARLIEST, SHARED, ChannelSpec, Ensure, Transport, TransportContext
from mesh_gateway.transport.plugins import import_string, load_plugins
from tests.bench import processes
from tests.bench.rows import Row, Sample, Target, absent
from tests.bench.sitting import Sitting
from tests.transports import BACKINGS, SQS, Backing

SIZE, BATCHES = 100, 50
PUBLISH, RECEIVE = "publish", "receive + settle"
CANNED = "sqs, canned answers: send + receive + delete"
TARGETS = {
    f"kafka: {PUBLISH}": Target(6),
    f"kafka: {RECEIVE}": Target(10),
    f"rabbitmq: {PUBLISH}": Target(8),
    f"rabbitmq: {RECEIVE}": Target(14),
    CANNED: Target(20),
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


def run(sitting: Sitting) -> Iterator[Row]:
    for backing in BACKINGS:
        if backing.variable and not backing.server:
            yield absent(f"{backing.kind}: {PUBLISH}, {RECEIVE}", processes.no_server(backing))
        else:
            once = partial(_real, sitting, backing)
            yield from sitting.rows(once, targets=TARGETS, servers=processes.servers(backing))
    yield from sitting.rows(partial(_canned, sitting), targets=TARGETS)


def _real(sitting: Sitting, backing: Backing) -> list[Sample]:
    """One run over one transport."""
    with sitting.watched(os.getpid(), f"transport {backing.kind}"):
        return uvloop.run(_measured(backing))


def _canned(sitting: Sitting) -> list[Sample]:
    """SQS where every answer stands before its question: what is left is our own work. Requests have ten events each."""
    port = free_port()
    backing = SQS.at(f"http://127.0.0.1:{port}")
    command = processes.module("tests.bench.canned_sqs", str(port))
    with mock.patch.dict(os.environ, CREDENTIALS), processes.spawned(processes.OTHERS, *command) as server:
        processes.listening(port, server)
        with sitting.watched(os.getpid(), "transport sqs canned"):
            ways = uvloop.run(_measured(backing))
    parts = [replace(way, what=f"sqs, canned answers: {way.what.partition(': ')[2]}") for way in ways]
    return [*parts, Sample(CANNED, sum(way.value for way in ways))]


class Watch:
    """CPU and time from its making on."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._server = processes.server_cpu(backing)
        self._began = time.perf_counter()
        self._cpu = time.process_time()

    def sample(self, verb: str, count: int) -> Sample:
        """For so many events."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._began
        beside = {}
        if self._server is not None and (server := processes.server_cpu(self._backing)) is not None:
            beside["server"] = (server - self._server) / count * 1e6
        return Sample(f"{self._backing.kind}: {verb}", cpu / count * 1e6, rate=count / wall, beside=beside)


async def _measured(backing: Backing) -> list[Sample]:
    """Publishing, and receiving with settling."""
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
    watch = Watch(backing)
    for _ in range(BATCHES):
        await transport.publish(spec.name, batch)
    published = watch.sample(PUBLISH, BATCHES * SIZE)

    subscription = await transport.subscribe(spec.name, SHARED, EARLIEST)
    left = count = (BATCHES + 1) * SIZE
    watch = Watch(backing)
    while left > 0:
        received = await subscription.receive(256)
        await subscription.settle(received)
        left -= len(received)
    consumed = watch.sample(RECEIVE, count)
    await subscription.close()
    await transport.close()
    return [published, consumed]


def _transport(backing: Backing) -> Transport:
    document: dict[str, Any] = next(
        one for one in yaml.safe_load_all(backing.document(f"bench{uuid.uuid4().hex[:8]}")) if one
    )
    kind = load_plugins().transports[backing.kind]
    options = import_string(kind.options).model_validate(document["spec"].get("options") or {})
    transport: Transport = import_string(kind.load)(options, TransportContext(backing.kind, None))
    return transport
