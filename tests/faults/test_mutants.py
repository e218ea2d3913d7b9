"""Seeded bugs: each is caught under its name. One that survives is a hole in the proof.

The prober catches most; what needs a strict fake, or the hand of a broker's administrator, is caught by a test of its own,
which is run here with the bug in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.cli.probe_run import own_run
from mesh_gateway.testing.probe.plan import Plan
from mesh_gateway.testing.probe.verdict import Verdict
from tests.faults.mutants.switchboard import BIG, BUILT_IN, ELSEWHERE, MUTANTS
from tests.faults.scale import ALL, thorough
from tests.transports import BACKINGS, Backing

ROOT = Path(__file__).parent.parent.parent

KINDS = {backing.kind: backing for backing in BACKINGS}


@pytest.fixture(autouse=True)
def _processes_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    # Compiled modules call their own functions, whatever is put over them.
    monkeypatch.setenv("MESH_NATIVE", "off")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))))


def probed(plan: Plan, directory: Path, mutant: str = "none", on: Backing = KINDS["embedded"]) -> Verdict:
    """The verdict on a gateway with this bug."""
    gateway = [sys.executable, "-m", "tests.faults.mutants.run", mutant, "run"]
    files: tuple[str, ...] = ()
    if on.variable:
        (directory / "transport.yaml").write_text(on.document(f"t{os.getpid()}"))
        files = (str(directory / "transport.yaml"),)
    history = directory / "history"
    history.mkdir()
    return own_run(plan, history, files, {}, gateway)


SOME = ("M2", "M5", "M12", "M13")
"""Of `make test`: the quickest, one of each: with a fault, an answer, order, content."""


def each(number: str, shows: str, on: str) -> Any:
    """One bug as a parameter, with the mark of tests over real servers where it needs one."""
    on_server = bool(on and KINDS[on].variable)
    return pytest.param(number, id=f"{number} {shows}".strip(), marks=[pytest.mark.servers] * on_server)


@pytest.mark.parametrize(
    "number",
    [each(number, MUTANTS[number].shows, MUTANTS[number].on) for number in (MUTANTS if ALL else SOME)],
)
def test_a_seeded_bug_is_caught_under_its_name(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mutant = MUTANTS[number]
    backing = KINDS[mutant.on]
    backing.skip_if_absent()
    monkeypatch.setenv("MESH_WALL_JUMP", str(mutant.wall_jump or ""))

    found = probed(mutant.plan, tmp_path, number, backing)

    kinds = {one.kind for one in found.anomalies}
    assert mutant.shows in kinds, f"{mutant.what} survived as {found.word}: {kinds or found.invalid}"


@pytest.mark.parametrize(
    "number", [each(number, "", ELSEWHERE[number].needs) for number in (ELSEWHERE if ALL else ("M18",))]
)
def test_a_seeded_bug_is_caught_by_a_test_of_its_own(number: str, monkeypatch: pytest.MonkeyPatch):
    bug = ELSEWHERE[number]
    if bug.needs:
        KINDS[bug.needs].skip_if_absent()
    monkeypatch.setenv("MESH_MUTANT", number)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    clean = subprocess.run([*command, bug.test], cwd=ROOT, capture_output=True, text=True, check=False)
    bitten = subprocess.run(
        [*command, "-p", "tests.faults.mutants.plugin", bug.test],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert clean.returncode == 0, clean.stdout
    assert bitten.returncode == 1, f"{bug.seed.__doc__} survived:\n{bitten.stdout}"


def test_every_bug_of_the_list_has_somebody_who_finds_it():
    for test in (*BUILT_IN.values(), *(bug.test for bug in ELSEWHERE.values())):
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), f"{test} is not there any more"
    found = {number.partition("-")[0] for number in (*MUTANTS, *ELSEWHERE, *BUILT_IN)}
    assert found == {f"M{number}" for number in range(1, 21)}


@pytest.mark.skipif(not ALL, reason="of make test-faults: it belongs to M17")
def test_without_the_bug_the_run_that_looks_at_memory_passes(tmp_path: Path):
    found = probed(BIG, tmp_path)

    assert found.word == "pass", (found.anomalies[:1], found.invalid)


@thorough
@pytest.mark.parametrize("seconds", [-3_600, 3_600, -86_400, 86_400])
def test_a_wall_clock_that_is_set_during_the_run_changes_nothing(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MESH_WALL_JUMP", str(seconds))

    found = probed(MUTANTS["M19"].plan, tmp_path)

    assert found.word == "pass", (found.anomalies[:1], found.invalid)
