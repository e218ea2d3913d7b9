"""`python -m tests.faults.mutants.run MUTANT …`: the command line of `mesh-gateway`, with one seeded bug, or `none`."""

from __future__ import annotations

import sys

import tests.faults.mutants.wall  # noqa: F401 — before anything that keeps a clock
from mesh_gateway.cli import main
from tests.faults.mutants.switchboard import MUTANTS

if __name__ == "__main__":
    mutant = sys.argv.pop(1)
    if mutant != "none":
        MUTANTS[mutant].seed()
    main()
