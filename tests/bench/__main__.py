"""`make bench`: CPU µs per event of each floor and end to end. Prints a table, judges nothing.

python -m tests.bench                      all of `NAMES`, in about ten minutes
python -m tests.bench ingress delivery     these
python -m tests.bench stalls soak          five and ten minutes; MESH_BENCH_SECONDS says how long else
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import profiles, record, rows, versions
from tests.bench.comparator import Comparator
from tests.bench.processes import ROOT
from tests.bench.sitting import RUNS, Sitting

NAMES = (
    "codec",
    "filters",
    "topology",
    "store",
    "transports",
    "ingress",
    "delivery",
    "end_to_end",
    "latency",
    "relays",
    "workers",
    "footprint",
)
LONG = ("stalls", "soak")
DOCUMENT = ROOT / "docs" / "performance.md"


def main() -> None:
    """Run what the command line says."""
    asked = _asked()
    print(versions.line())
    print(rows.line(rows.HEAD), flush=True)
    with tempfile.TemporaryDirectory() as directory:
        comparator = Comparator(None) if asked.profile else Comparator.built(Path(directory))
        sitting = Sitting(comparator, runs=1 if asked.profile else asked.runs, profile=asked.profile)
        found: list[rows.Row] = []
        for name in asked.names or NAMES:
            for row in importlib.import_module(f"tests.bench.bench_{name}").run(sitting):
                print(rows.line(rows.cells(row)), flush=True)
                found.append(row)
        for row in comparator.rows():
            print(rows.line(rows.cells(row)), flush=True)
            found.append(row)
    if asked.append:
        when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        text = record.section(when, versions.commit(), versions.line(), found)
        DOCUMENT.write_text(record.appended(DOCUMENT.read_text(), text))
        print(f"appended to {DOCUMENT.relative_to(ROOT)}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description="CPU µs per event, floor by floor")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((*NAMES, *LONG))}")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each row; default {RUNS}")
    parser.add_argument("--append", action="store_true", help="write the table into docs/performance.md, too")
    parser.add_argument(
        "--profile", type=Path, metavar="DIR", help="watch with py-spy; figures are then no figures"
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*NAMES, *LONG}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join((*NAMES, *LONG))}")
    if asked.profile:
        if asked.append:
            parser.error("what py-spy watches is slower: --append without --profile")
        if profiles.program() is None:
            parser.error("there is no py-spy: make setup installs it where it has a wheel")
        asked.profile.mkdir(parents=True, exist_ok=True)
    return asked


if __name__ == "__main__":
    main()
