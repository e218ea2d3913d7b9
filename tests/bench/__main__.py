"""`make bench`: CPU µs per event of each floor and end to end. Prints a table, judges nothing.

python -m tests.bench [name …]        names: codec filters store transports ingress delivery end_to_end relays
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from importlib.metadata import version

FLOORS = ("codec", "filters", "store", "transports", "ingress", "delivery", "end_to_end", "relays")


def noise() -> float:
    """How much slower the slowest of twenty equal loops was than the fastest: 1.0 on a quiet machine."""
    found = []
    for _ in range(20):
        began = time.perf_counter()
        sum(range(200_000))
        found.append(time.perf_counter() - began)
    return max(found) / min(found)


def main(names: list[str]) -> None:
    unknown = set(names) - set(FLOORS)
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(FLOORS)}")
    print(
        f"CPython {platform.python_version()}, uvloop {version('uvloop')}, {os.cpu_count()} cores, noise ×{noise():.1f}"
    )
    print(f"{'what':44} {'µs/event':>9}  note")
    for name in names or FLOORS:
        for what, cost, note in importlib.import_module(f"tests.bench.bench_{name}").run():
            print(f"{what:44} {cost:9.2f}  {note}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
