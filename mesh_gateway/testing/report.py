"""What a run of the kit has found, as a document: tests, capabilities, and how much may be trusted.

Levels: `experimental` something fails, or a part of the kit was not run; `conformant` nothing fails, but
the harness left some of the kit untried (no proxy, no restart, …); `certified` the whole kit passes, faults
included. Behind a level stand this version of the kit and the one version of the server it ran against.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from mesh_gateway import __version__
from mesh_gateway.testing.conformance import TransportConformance
from mesh_gateway.testing.harness import UNTRIED
from mesh_gateway.transport.contract import TRANSPORT_API

Outcome = Literal["passed", "failed", "skipped", "untried"]

WORST: tuple[Outcome, ...] = ("passed", "skipped", "untried", "failed")
"""A test's setup, call and teardown each have an outcome; the worst is the test's."""

LONGEST_DETAIL = 500
"""Characters of a failure that the report keeps; pytest's own output has the rest."""


@dataclass(slots=True)
class Verdict:
    """One test of the kit."""

    test: str
    outcome: Outcome = "passed"
    seconds: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class Suite:
    """One harness that the kit has run with: a class."""

    name: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tests: dict[str, Verdict] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        level, why = self.level()
        counts = Counter(tested.outcome for tested in self.tests.values())
        return {
            "name": self.name,
            "level": level,
            "why": why,
            "counts": {outcome: counts[outcome] for outcome in WORST},
            "capabilities": self.capabilities,
            "notes": self.notes,
            "tests": [
                {**asdict(tested), "seconds": round(tested.seconds, 3)} for tested in self.tests.values()
            ],
        }

    def level(self) -> tuple[str, str]:
        """The level, and what is in the way of the next one."""
        run = {name.partition("[")[0] for name in self.tests}
        absent = {name for name in dir(TransportConformance) if name.startswith("test_")} - run
        failed = [tested for tested in self.tests.values() if tested.outcome == "failed"]
        untried = {tested.detail for tested in self.tests.values() if tested.outcome == "untried"}
        if failed:
            return "experimental", f"{len(failed)} of {len(self.tests)} tests fail"
        if absent:
            return "experimental", f"{len(absent)} tests of the kit were not run"
        if untried:
            return "conformant", "; ".join(sorted(untried))
        return "certified", ""


class Reporter:
    """Listens to a pytest run and writes the report at its end."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._class_of: dict[str, str] = {}
        self._suites: dict[str, Suite] = {}

    def pytest_collection_modifyitems(self, items: Iterable[pytest.Item]) -> None:
        """Remember which tests are the kit's."""
        for item in items:
            if isinstance(item, pytest.Function) and item.cls and issubclass(item.cls, TransportConformance):
                self._class_of[item.nodeid] = item.cls.__name__

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a setup, call or teardown."""
        name = self._class_of.get(report.nodeid)
        if name is None:
            return
        suite = self._suites.setdefault(name, Suite(name))
        test = nameof(report.nodeid)
        tested = suite.tests.setdefault(test, Verdict(test))
        tested.seconds += report.duration
        outcome, detail = ending(report)
        if WORST.index(outcome) > WORST.index(tested.outcome):
            tested.outcome, tested.detail = outcome, detail
        for key, value in report.user_properties if report.when == "teardown" else ():
            if key == "mesh_capabilities" and isinstance(value, Mapping):
                suite.capabilities = value
            elif key == "mesh_note":
                suite.notes.append(f"{test}: {value}")

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        document = {
            "kit": __version__,
            "api": TRANSPORT_API,
            "suites": [suite.document() for suite in self._suites.values()],
        }
        self._path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def nameof(nodeid: str) -> str:
    """The test's name with its parameters, which may themselves hold `::`."""
    path, bracket, parameters = nodeid.partition("[")
    return path.rpartition("::")[2] + bracket + parameters


def ending(report: pytest.TestReport) -> tuple[Outcome, str]:
    """How this phase of a test ended, and why."""
    if report.passed:
        return "passed", ""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        return ("untried" if reason.startswith(UNTRIED) else "skipped"), reason.removeprefix(UNTRIED)
    crash = getattr(report.longrepr, "reprcrash", None)
    return "failed", str(crash.message if crash else report.longrepr)[:LONGEST_DETAIL]
