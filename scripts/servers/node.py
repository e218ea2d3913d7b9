"""One server process: started so that it outlives us, known by pid and start time, stopped only if it is ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers.home import ServiceError, home, refuse_if_taken

START_SECONDS = 90.0
"""Until a start is called failed; a JVM on two busy cores has been seen to take 20 s."""

STOP_SECONDS = 15.0
"""After SIGTERM, before SIGKILL; a clean stop takes 2 s."""


@dataclass(frozen=True)
class Node:
    """How to run one server process, and how to know that it serves."""

    name: str
    command: Sequence[str]
    ports: Sequence[int]
    ready: Callable[[], bool]
    """Asks the server in its own protocol; an open port alone says nothing."""
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = STOP_SECONDS


def data(name: str) -> Path:
    """Where this node keeps what must outlive it."""
    return home() / "data" / name


def log(name: str) -> Path:
    folder = home() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def running(name: str) -> int | None:
    """The pid of this node if we started it and it still runs: a reused pid has another start time."""
    try:
        record = json.loads(_record(name).read_text())
    except (OSError, ValueError):
        return None
    return record["pid"] if _started(record["pid"]) == record["started"] else None


def start(node: Node) -> None:
    """Start it without waiting; `wait_until_ready` does. Nothing happens if it runs."""
    if running(node.name):
        return
    for number in node.ports:
        refuse_if_taken(node.name, number)
    with log(node.name).open("ab") as output:
        process = subprocess.Popen(
            list(node.command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **node.environment},
            start_new_session=True,
        )
    _record(node.name).write_text(json.dumps({"pid": process.pid, "started": _started(process.pid)}))


def wait_until_ready(node: Node) -> None:
    """Returns when it answers. Raises `ServiceError` with the end of its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not node.ready():
        if running(node.name) is None:
            raise ServiceError(f"{node.name} ended while starting. The end of its log:\n{tail(node.name)}")
        if time.monotonic() > deadline:
            raise ServiceError(
                f"{node.name} does not answer after {START_SECONDS:g} s. The end of its log:\n{tail(node.name)}"
            )
        time.sleep(0.1)


def stop(names: Sequence[str], seconds: float = STOP_SECONDS) -> None:
    """SIGTERM to all of them at once (the last of three Kafka nodes cannot stop alone), then SIGKILL."""
    left = {name: pid for name in names if (pid := running(name)) is not None}
    for pid in left.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(running(name) for name in left) and time.monotonic() < deadline:
        _reap(left.values())
        time.sleep(0.05)
    for name in left:
        kill(name)


def kill(name: str) -> None:
    """SIGKILL, and wait until it is gone."""
    pid = running(name)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        while running(name) is not None:
            _reap([pid])
            time.sleep(0.02)
    _record(name).unlink(missing_ok=True)


def pause(name: str) -> None:
    """SIGSTOP: its connections stand, and nobody is answered. Raises `ServiceError` when it does not run."""
    _signal_all(name, signal.SIGSTOP)


def unpause(name: str) -> None:
    """SIGCONT. Raises `ServiceError` when it does not run."""
    _signal_all(name, signal.SIGCONT)


def _signal_all(name: str, number: signal.Signals) -> None:
    """To the node and what it has started: each node is a process group of its own."""
    pid = running(name)
    if pid is None:
        raise ServiceError(f"{name} does not run")
    os.killpg(pid, number)


def tail(name: str, lines: int = 40) -> str:
    """The end of this node's log."""
    path = log(name)
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


def _record(name: str) -> Path:
    folder = home() / "run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.json"


def _started(pid: int) -> str | None:
    """The start time of a live process in clock ticks since boot (field 22 of its stat), which `exec` keeps."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _reap(pids: Sequence[int] | object) -> None:
    """Collect children of ours that have ended, so that none stays a zombie."""
    for pid in pids:  # type: ignore[attr-defined]
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
