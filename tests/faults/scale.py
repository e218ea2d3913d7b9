"""How much of each fault is tried: some of it in `make test`, all of it in `make test-faults` (`MESH_FAULTS=all`).

The fault, the load and what is asserted are the same in both; only how often, how long or how many differs.
"""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

Amount = TypeVar("Amount", int, float)

ALL = os.environ.get("MESH_FAULTS") == "all"


def scaled(some: Amount, every: Amount, variable: str = "") -> Amount:
    """`every` in `make test-faults`, else `some`; what the environment `variable` says goes before both."""
    given = os.environ.get(variable) if variable else None
    if given is not None:
        return type(every)(given)
    return every if ALL else some


thorough = pytest.mark.skipif(not ALL, reason="MESH_FAULTS=all (make test-faults)")
"""Of a fault that `make test` leaves out altogether, so that its share of them stays under five minutes."""
