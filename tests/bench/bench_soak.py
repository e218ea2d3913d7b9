"""Ten minutes at half load: does the gateway's memory grow? MESH_BENCH_SECONDS says how long else."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

from tests.bench import distribution, half_load
from tests.bench.processes import Gateway
from tests.bench.rows import Row, Sample, Target
from tests.bench.sitting import Sitting

SECONDS = float(os.environ.get("MESH_BENCH_SECONDS", "600"))
LOOK_SECONDS = 2.0
WARM = 0.2
"""Of the time, at the beginning: caches fill, the allocator finds its size."""

GROWN = f"soak, {SECONDS:g} s at half load: memory grown after the first {WARM * SECONDS:g} s"
TARGETS = {GROWN: Target(2)}
"""MB by the line through all looks. An allocator gives and takes some; a leak of 1 byte for each event would be 5 MB."""


def run(sitting: Sitting) -> Iterator[Row]:
    yield from sitting.rows(_once, against=None, targets=TARGETS, runs=1)


def _once() -> list[Sample]:
    with half_load.half_load(SECONDS) as (gateway, pacer):
        looks = list(_looks(gateway, pacer))
        paced = half_load.result(pacer)
    warm = [look for look in looks if look[0] >= WARM * SECONDS] or looks
    grown = distribution.slope(warm) * (warm[-1][0] - warm[0][0])
    return [
        Sample(
            f"soak, {SECONDS:g} s at half load: memory at most",
            max(mb for _, mb in looks),
            "MB",
            rate=paced.rate,
        ),
        Sample(GROWN, grown, "MB"),
    ]


def _looks(gateway: Gateway, pacer: subprocess.Popen[bytes]) -> Iterator[tuple[float, float]]:
    """(seconds, MB), until the pacer has ended."""
    began = time.monotonic()
    while True:
        yield time.monotonic() - began, gateway.resident()
        try:
            pacer.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
