"""Timing by CPU time, several runs, the median with least and most."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

RUNS = 5


def cpu(what: Callable[[], object], *, count: int = 20_000) -> tuple[float, str]:
    """(median µs of one call, "least–most") over several runs of `count` calls."""
    for _ in range(count // 10):
        what()
    found: list[float] = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(count):
            what()
        found.append((time.process_time() - began) / count * 1e6)
    return statistics.median(found), f"{min(found):.2f}–{max(found):.2f}"
