"""What a run has shown: figures for `docs/operations/guarantees.md`. They are printed, and judge nothing.

With `MESH_FIGURES=figures.jsonl` each is appended to that file as well, a JSON object a line:

    {"promise": 9, "what": "longest pause of the untouched trigger", "value": 31.0, "unit": "ms"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

FILE = "MESH_FIGURES"


def figure(promise: int, what: str, value: float, unit: str = "") -> None:
    """One figure of a promise of that number."""
    value = round(value, 3)
    print(f"promise {promise}: {what}: {value:,} {unit}".rstrip())
    if name := os.environ.get(FILE):
        with Path(name).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"promise": promise, "what": what, "value": value, "unit": unit}) + "\n")


def counts(promise: int, **values: float) -> None:
    """Several of one promise that have no unit; underscores are read as blanks."""
    for what, value in values.items():
        figure(promise, what.replace("_", " "), value)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them (0 to 1) does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def compare(promise: int, what: str, seconds: Mapping[str, Sequence[float]], *, than: str) -> None:
    """The 99th percentile of each phase, and by how much it is more than in the phase `than`, if that has any."""
    ends = {phase: percentile(some, 0.99) for phase, some in seconds.items()}
    for phase, here in ends.items():
        figure(promise, f"p99 of {what}, {phase} ({len(seconds[phase])} events)", here * 1_000, "ms")
        if phase != than and than in ends:
            more = (here / ends[than] - 1) * 100
            figure(promise, f"p99 of {what}, {phase}: more than {than} by", more, "%")


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024
