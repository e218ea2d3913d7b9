"""Where the time goes: py-spy watches a process from outside, and what it saw is kept as text.

For each profile a folded file (one line for each stack, for flame graphs) and a table of the functions that had the most.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import OTHERS, pinned

RATE = 200
"""Samples a second: 600 in a run of three seconds, so that a share of 5 % is known within ±0.9."""

ATTACH_SECONDS = 0.5
"""py-spy needs about so long until it watches; it says nothing when it does."""

TOP = 20

_place = re.compile(r"\((?P<file>[^()]*?)(?::\d+)?\)$")


@dataclass(frozen=True, slots=True)
class Share:
    """Of one function: samples in which it ran itself, and in which it was anywhere on the stack."""

    function: str
    own: int
    total: int


def program() -> str | None:
    """py-spy, if it is installed."""
    beside = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    return beside or shutil.which("py-spy")


@contextlib.contextmanager
def watched(pid: int, name: str, directory: Path) -> Iterator[None]:
    """While the block runs. What cannot be watched is said aloud."""
    folded = directory / f"{name}.folded"
    command = [
        *pinned(OTHERS),
        str(program()),
        "record",
        "--pid",
        str(pid),
        "--rate",
        str(RATE),
        "--function",
    ]
    command += ["--format", "raw", "--output", str(folded), "--duration", "unlimited"]
    watcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(ATTACH_SECONDS)
    try:
        yield
    finally:
        watcher.send_signal(signal.SIGINT)
        _, said = watcher.communicate()
    if folded.exists():
        (directory / f"{name}.txt").write_text(table(folded.read_text().splitlines()))
    else:
        print(f"no profile of {name}: {said.strip() or 'py-spy saw nothing'}")


def shares(stacks: Iterable[str]) -> list[Share]:
    """From folded stacks, `outer;inner COUNT`; whoever ran most itself comes first."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack in stacks:
        path, _, count = stack.rpartition(" ")
        functions = [_short(function) for function in path.split(";")]
        own[functions[-1]] += int(count)
        for function in set(functions):
            total[function] += int(count)
    return [Share(function, count, total[function]) for function, count in own.most_common()]


def table(stacks: Iterable[str]) -> str:
    """The functions that had the most, in % of all samples."""
    found = shares(stacks)
    everything = sum(share.own for share in found) or 1
    lines = [f"{everything} samples\n  own %  total %  function"]
    lines += [
        f"{share.own / everything:7.1%}  {share.total / everything:7.1%}  {share.function}"
        for share in found[:TOP]
    ]
    return "\n".join(lines) + "\n"


def _short(function: str) -> str:
    """`data_received (mesh_gateway/ingress/protocol.py)`, wherever the code lies."""
    return _place.sub(lambda found: f"({_within(found['file'])})", function.strip())


def _within(file: str) -> str:
    parts = Path(file).parts
    for root in (
        "mesh_gateway",
        "mesh_gateway_kafka",
        "mesh_gateway_rabbitmq",
        "mesh_gateway_sqs",
        "site-packages",
    ):
        if root in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(root) :])
    return "/".join(parts[-2:])
