"""The Go comparator: built when `go` is there, and asked what it needs in the minute of each row.

A machine is faster in one hour than in another, and a ratio to what a plain Go program needs for the same exchange at the
same time says more than µs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mesh_gateway.testing.ports import free_port
from tests.bench import events, noise, processes
from tests.bench.rows import Row

Kind = Literal["ingress", "client", "forward"]

WHAT: dict[Kind, str] = {
    "ingress": "Go net/http ingress: one binary event",
    "client": "Go net/http client: one POST",
    "forward": "Go net/http ingress and client, no store, no filter",
}
SOURCE = Path(__file__).parent / "go"
FRESH_SECONDS = 60.0
RUNS = 3
SECONDS = 1.0
COUNT = 30_000

ONE_CORE = {"GOMAXPROCS": "1"}
"""It is kept on one core, as the gateway is; told so, its scheduler does not look for others."""


class Comparator:
    """What an event costs a plain Go program, now."""

    def __init__(self, program: Path | None) -> None:
        self._program = program
        self._asked: dict[Kind, float] = {}
        self._found: dict[Kind, list[float]] = {}

    @classmethod
    def built(cls, directory: Path) -> Comparator:
        """With the program in this folder; says aloud when there is no `go`. Raises `SystemExit` if it cannot be built."""
        if shutil.which("go") is None:
            print("no go on the path: no comparator, so trust no figure against one of another hour")
            return cls(None)
        program = directory / "comparator"
        done = subprocess.run(
            ["go", "build", "-o", program, "."], cwd=SOURCE, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"the comparator does not build:\n{done.stderr}")
        return cls(program)

    def cost(self, kind: Kind) -> float | None:
        """CPU µs of an event, measured within the last minute; None without Go."""
        if self._program is None:
            return None
        if time.monotonic() - self._asked.get(kind, -FRESH_SECONDS) >= FRESH_SECONDS:
            measure = {"ingress": self._ingress, "client": self._client, "forward": self._forward}[kind]
            self._found.setdefault(kind, []).append(statistics.median(measure()))
            self._asked[kind] = time.monotonic()
        return self._found[kind][-1]

    def rows(self) -> list[Row]:
        """All that it has said, for the end of the table."""
        return [Row(WHAT[kind], found) for kind, found in self._found.items()]

    def _ingress(self) -> list[float]:
        with self._serving("ingress") as (port, pid):
            return _loaded(port, pid)

    def _forward(self) -> list[float]:
        with processes.sink() as (subscriber, _), self._serving("forward", str(subscriber)) as (port, pid):
            return _loaded(port, pid)

    def _client(self) -> list[float]:
        with processes.sink() as (subscriber, _):
            command = [
                *processes.pinned(processes.UNDER_TEST),
                str(self._program),
                "client",
                str(subscriber),
                str(COUNT),
            ]
            found = [subprocess.check_output(command, env={**os.environ, **ONE_CORE}) for _ in range(RUNS)]
        return [float(said) for said in found]

    @contextlib.contextmanager
    def _serving(self, *words: str) -> Iterator[tuple[int, int]]:
        mode, *rest = words
        port = free_port()
        command = (str(self._program), mode, str(port), *rest)
        with processes.spawned(processes.UNDER_TEST, *command, environment=ONE_CORE) as process:
            processes.listening(port, process)
            yield port, process.pid


def _loaded(port: int, pid: int) -> list[float]:
    """CPU µs of an event, of each run, once all of them are delivered as well."""
    processes.load(port, events.binary(), SECONDS / 2)
    found: list[float] = []
    for _ in range(RUNS):
        _settled(port)
        before = noise.cpu(pid)
        answered = processes.load(port, events.binary(), SECONDS)
        _settled(port)
        found.append((noise.cpu(pid) - before) / answered.accepted * 1e6)
    return found


def _settled(port: int) -> None:
    """Returns once everything that was accepted is delivered."""
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
            delivered, accepted = response.read().split()
        if delivered == accepted:
            return
        time.sleep(0.02)
