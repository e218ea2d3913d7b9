"""Timing one call by CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu(what: Callable[[], object], *, count: int = 20_000) -> float:
    """CPU µs of one call, over `count` calls after a tenth of them to warm up."""
    for _ in range(count // 10):
        what()
    began = time.process_time()
    for _ in range(count):
        what()
    return (time.process_time() - began) / count * 1e6
