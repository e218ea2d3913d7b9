"""What a gateway needs before it does anything, and what waiting events cost: start, memory, `--help`."""

from __future__ import annotations

import compileall
import json
import subprocess
import time
from collections.abc import Iterator
from functools import partial

from mesh_gateway.testing.ports import free_port
from tests.bench import events, processes
from tests.bench.processes import REMOTE, Gateway
from tests.bench.rows import Row, Sample, Target, absent
from tests.bench.sitting import Sitting
from tests.harness import post
from tests.transports import EMBEDDED, Backing

READY, HELP = "start to ready", "--help"
PARKED = 100_000
FIRST = 10_000
"""Parked before memory is looked at first: the window is full then, and the store's cache has its size."""

BATCH = 500
PARKING = f"memory for {PARKED:,} parked events"
TARGETS = {
    READY: Target(1_000),
    HELP: Target(200),
    "idle memory, embedded": Target(60),
    **{f"idle memory, {backing.kind}": Target(80) for backing in REMOTE},
    PARKING: Target(1),
}
"""Of parking: 100 bytes for each event would be 10 MB; one is what an allocator may keep."""


def run(sitting: Sitting) -> Iterator[Row]:
    # As an installation has it, also where the environment has Python write none: compiling what is ours doubles the start.
    compileall.compile_dir(processes.ROOT / "mesh_gateway", quiet=1)
    yield from sitting.rows(_start, against=None, targets=TARGETS)
    for backing in REMOTE:
        if backing.server:
            servers = processes.servers(backing)
            yield from sitting.rows(partial(_idle, backing), against=None, targets=TARGETS, servers=servers)
        else:
            yield absent(f"idle memory, {backing.kind}", processes.no_server(backing))
    yield from sitting.rows(_parked, against=None, targets=TARGETS, runs=1)


def _start() -> list[Sample]:
    """Without any other transport."""
    began = time.monotonic()
    subprocess.run(
        [*processes.pinned(processes.UNDER_TEST), *processes.module("mesh_gateway", "--help")],
        cwd=processes.ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    help = (time.monotonic() - began) * 1_000
    with Gateway(processes.documents(1, free_port(), EMBEDDED)) as gateway:
        return [
            Sample(READY, gateway.start_seconds * 1_000, "ms"),
            Sample(HELP, help, "ms"),
            Sample("idle memory, embedded", gateway.resident(), "MB"),
        ]


def _idle(backing: Backing) -> list[Sample]:
    with Gateway(processes.documents(1, free_port(), backing)) as gateway:
        return [Sample(f"idle memory, {backing.kind}", gateway.resident(), "MB")]


def _parked() -> list[Sample]:
    """To a subscriber that is not there, retried for ever: what the window has no room for is parked."""
    delivery = ", delivery: {retry: 1000, backoffDelay: PT1H}"
    with Gateway(processes.documents(1, free_port(), EMBEDDED, delivery=delivery)) as gateway:
        _fill(gateway, 0, FIRST)
        before = gateway.resident()
        _fill(gateway, FIRST, PARKED + FIRST)
        return [Sample(PARKING, gateway.resident() - before, "MB", note=f"from {before:.0f} MB")]


def _fill(gateway: Gateway, first: int, last: int) -> None:
    """Send these, and wait until all of them are in the window or parked."""
    headers = {"content-type": "application/cloudevents-batch+json"}
    for number in range(first, last, BATCH):
        body = json.dumps([events.member(str(one)) for one in range(number, number + BATCH)]).encode()
        if post(f"http://127.0.0.1:{gateway.ingress}{events.PATH}", body, headers) != 202:
            raise SystemExit("the gateway did not take a batch")
    while True:
        trigger = gateway.status()["triggers"][0]
        if trigger["window"] + trigger["parked"] >= last:
            return
        time.sleep(0.2)
