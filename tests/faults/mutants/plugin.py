"""For pytest: seeds the mutant named by `MESH_MUTANT` before any test is collected (`-p tests.faults.mutants.plugin`)."""

from __future__ import annotations

import os

from tests.faults.mutants.switchboard import ELSEWHERE


def pytest_configure() -> None:
    ELSEWHERE[os.environ["MESH_MUTANT"]].seed()
