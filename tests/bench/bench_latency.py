"""How long an answer and a delivery take at half load, 100 triggers of which one matches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.bench import half_load, processes
from tests.bench.rows import Row, Sample, absent
from tests.bench.sitting import Sitting
from tests.transports import BACKINGS, Backing

SECONDS = 3.0


def run(sitting: Sitting) -> Iterator[Row]:
    for backing in BACKINGS:
        if backing.variable and not backing.server:
            yield absent(f"latency over {backing.kind}", processes.no_server(backing))
        else:
            once = partial(_once, backing)
            yield from sitting.rows(once, against=None, servers=processes.servers(backing))


def _once(backing: Backing) -> list[Sample]:
    with half_load.half_load(SECONDS, backing) as (_, pacer):
        found = half_load.result(pacer)
    return half_load.samples(f"half load, {backing.kind}", found, ("p50", "p99"))
