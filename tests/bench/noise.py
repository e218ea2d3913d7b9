"""How much of the machine others had while a benchmark ran, from /proc.

All CPU time that the system counts, less what our processes used, is that of others; what the hypervisor gave to other
machines (steal) is told by itself. Where the kernel counts interrupts apart from processes (`IRQ_TIME_ACCOUNTING`), those
that our own traffic causes look like others'.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
"""Of a second, in /proc."""


@dataclass(frozen=True, slots=True)
class Noise:
    """CPU that others had during a run, in cores."""

    others: float
    stolen: float

    def __str__(self) -> str:
        return (
            f"{self.others:.2f} + {self.stolen:.2f} stolen" if self.stolen >= 0.005 else f"{self.others:.2f}"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds so far, and the wall clock's."""

    busy: float
    stolen: float
    ours: float
    at: float


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc/PID/stat says: the parent, CPU seconds, and those of children that have ended."""

    parent: int
    own: float
    ended_children: float


def between(before: Reading, after: Reading) -> Noise:
    """What others had from the one reading to the other."""
    wall = max(after.at - before.at, 1 / TICKS)
    others = (after.busy - before.busy) - (after.ours - before.ours)
    # The system counts by ticks and processes exactly, so a quiet machine may come out below nothing.
    return Noise(max(0.0, others) / wall, (after.stolen - before.stolen) / wall)


def worst(noises: Sequence[Noise]) -> Noise:
    """The most of both, of several runs."""
    return Noise(max(one.others for one in noises), max(one.stolen for one in noises))


def machine(text: str) -> tuple[float, float]:
    """(busy, stolen) CPU seconds since the start of the system, of the text of /proc/stat."""
    user, nice, system, _idle, _waiting, irq, softirq, stolen, *_ = map(
        int, text.split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / TICKS, stolen / TICKS


def process(text: str) -> Process:
    """Of the text of /proc/PID/stat; the name in it may hold anything."""
    fields = text.rpartition(")")[2].split()
    user, system, children_user, children_system = map(int, fields[11:15])
    return Process(int(fields[1]), (user + system) / TICKS, (children_user + children_system) / TICKS)


def family(processes: Mapping[int, Process], roots: Collection[int]) -> set[int]:
    """These processes with all their descendants."""
    found = set(roots) & processes.keys()
    while more := {pid for pid, one in processes.items() if one.parent in found} - found:
        found |= more
    return found


def used(processes: Mapping[int, Process], pids: Iterable[int]) -> float:
    """CPU seconds of these and of their children that have ended."""
    return sum(processes[pid].own + processes[pid].ended_children for pid in pids)


def read(servers: Collection[int] = ()) -> Reading:
    """Now. Ours are this process, its descendants, and `servers` with theirs."""
    found = all_processes()
    busy, stolen = machine(Path("/proc/stat").read_text())
    return Reading(busy, stolen, used(found, family(found, {os.getpid(), *servers})), time.monotonic())


def all_processes() -> dict[int, Process]:
    """Every process that runs."""
    found: dict[int, Process] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                found[int(path.name)] = process((path / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
    return found


def cpu(pid: int) -> float:
    """CPU seconds of a process with its descendants, living and ended."""
    found = all_processes()
    return used(found, family(found, {pid}))
