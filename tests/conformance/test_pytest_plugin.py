"""The kit in anybody's project: a harness is all that a plugin's author writes, and a report comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.testing.conformance import TransportConformance
from mesh_gateway.testing.report import Suite, Verdict

SIX_LINES = """
from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

class TestMine(TransportConformance):
    async def harness(self):
        return Harness(make=lambda: EmbeddedTransport(EmbeddedOptions(), TransportContext("mine", None)))
"""

LOUD = """
    async def test_a_healthy_transport_checks_itself_as_healthy(self, kit):
        kit.notes.append("it was slow")
        assert False, "on purpose"

def test_of_somebody_elses():
    pass
"""

SOME = "closing_twice or checks_itself or two_groups or drift or somebody or empty_batch"


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest as a third party starts it: no settings, no conftest.py, warnings are errors."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "test_mine.py").write_text(SIX_LINES + LOUD)
    run = pytest_in(tmp_path, "-k", SOME, "--mesh-report", "report.json")
    assert run.returncode == 1, run.stdout + run.stderr
    document: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    return document


def test_a_harness_is_all_that_an_author_writes(tmp_path):
    (tmp_path / "test_mine.py").write_text(SIX_LINES)

    run = pytest_in(tmp_path, "-k", "closing_twice or empty_batch")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout


def test_the_report_tells_how_each_test_ended_and_why(report):
    [suite] = report["suites"]
    ended = {one["test"]: (one["outcome"], one["detail"]) for one in suite["tests"]}

    assert suite["name"] == "TestMine"
    assert ended["test_two_groups_each_get_every_event"] == ("passed", "")
    outcome, detail = ended["test_a_healthy_transport_checks_itself_as_healthy"]
    assert (outcome, "on purpose" in detail) == ("failed", True)
    assert ended["test_drift_is_reported_and_not_raised"] == ("untried", "the harness names no drift")
    assert "test_of_somebody_elses" not in ended
    assert all(one["seconds"] >= 0 for one in suite["tests"])


def test_the_report_tells_what_the_transport_declares_and_what_was_noted(report):
    [suite] = report["suites"]

    assert suite["capabilities"]["ordering"] == "channel"
    assert suite["capabilities"]["delay"] == "any"
    assert suite["notes"] == ["test_a_healthy_transport_checks_itself_as_healthy: it was slow"]


def test_it_costs_a_run_that_does_not_use_it_nothing_but_itself():
    program = (
        "import sys, mesh_gateway.testing.plugin\n"
        "print([m for m in sys.modules if m.startswith(('mesh_gateway.testing.', 'mesh_gateway.tr', 'pydantic', 'anyio'))])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['mesh_gateway.testing.plugin']"


WHOLE = [name for name in dir(TransportConformance) if name.startswith("test_")]


@pytest.mark.parametrize(
    ("names", "outcome", "level"),
    [
        (WHOLE, "passed", "certified"),
        (WHOLE, "skipped", "certified"),
        (WHOLE, "untried", "conformant"),
        (WHOLE, "failed", "experimental"),
        (WHOLE[1:], "passed", "experimental"),
    ],
)
def test_the_level_is_that_of_the_worst(names, outcome, level):
    suite = Suite("TestMine", tests={name: Verdict(name) for name in names})
    suite.tests[names[-1]] = Verdict(names[-1], outcome)

    assert suite.level()[0] == level
