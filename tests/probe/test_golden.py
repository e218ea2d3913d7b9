"""The checker on histories by hand: it finds what is wrong, and nothing else."""

from __future__ import annotations

from typing import get_args

import pytest

from mesh_gateway.testing.probe.checker import anomalies
from mesh_gateway.testing.probe.checker.anomaly import Kind
from tests.probe.golden import RIGHT, WRONG
from tests.probe.story import Story


@pytest.mark.parametrize("name", WRONG)
def test_an_anomaly_is_found_and_called_by_its_name(name: str):
    kind, tell = WRONG[name]
    story = Story()

    tell(story)

    assert story.kinds() == {kind}


@pytest.mark.parametrize("name", WRONG)
def test_an_anomaly_shows_lines_that_prove_it(name: str):
    story = Story()

    WRONG[name][1](story)

    for one in anomalies(story.facts()):
        assert one.lines
        assert one.what
        assert all("_at" in line for line in one.lines)


@pytest.mark.parametrize("name", RIGHT)
def test_what_only_looks_like_an_anomaly_is_none(name: str):
    story = Story()

    RIGHT[name](story)

    assert story.kinds() == set()


def test_there_is_a_history_for_every_kind_of_anomaly():
    assert {kind for kind, _ in WRONG.values()} == set(get_args(Kind))
    assert len(WRONG) + len(RIGHT) >= 40
