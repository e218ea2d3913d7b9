"""Five minutes at half load: is there any moment at which an event waits longer than 50 ms? (GC, checkpoints, sweeps)

MESH_BENCH_SECONDS says how long else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.bench import half_load
from tests.bench.distribution import SHARES, STALL_MS
from tests.bench.rows import Row, Sample, Target
from tests.bench.sitting import Sitting

SECONDS = float(os.environ.get("MESH_BENCH_SECONDS", "300"))
PREFIX = f"{SECONDS:g} s at half load"
TARGETS = {f"{PREFIX}: {what} max": Target(STALL_MS) for what in ("accept", "end to end")}


def run(sitting: Sitting) -> Iterator[Row]:
    """The distribution of both, what was longer than a stall, and how late the pacer itself was: the machine's part."""
    yield from sitting.rows(_once, against=None, targets=TARGETS, runs=1)


def _once() -> list[Sample]:
    with half_load.half_load(SECONDS) as (_, pacer):
        paced = half_load.result(pacer)
    return [
        *half_load.samples(PREFIX, paced, tuple(SHARES)),
        Sample(f"{PREFIX}: answers later than {STALL_MS:g} ms", paced.accept["stalls"], "events"),
        Sample(f"{PREFIX}: deliveries later than {STALL_MS:g} ms", paced.end["stalls"], "events"),
        Sample(f"{PREFIX}: the pacer itself late, p99.9", paced.own["p99.9"], "ms"),
        Sample(f"{PREFIX}: the pacer itself late, max", paced.own["max"], "ms"),
    ]
