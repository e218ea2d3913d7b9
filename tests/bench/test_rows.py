"""What the tables say is what was found."""

from __future__ import annotations

import pytest

from tests.bench import record
from tests.bench.noise import Noise
from tests.bench.rows import Row, Sample, Target, absent, cells, line, markdown, over


def test_a_row_shows_the_median_and_what_the_runs_were_between():
    [row] = over([[Sample("x", 12.0)], [Sample("x", 30.0)], [Sample("x", 13.5)]])

    assert cells(row)[:2] == ("x", "13.5 µs (12.0–30.0)")


def test_only_costs_are_set_beside_those_of_the_comparator():
    cost, size = over([[Sample("cost", 30.0), Sample("size", 30.0, "MB")]], comparator=20.0)

    assert cells(cost)[4] == "1.50"
    assert cells(size)[4] == ""


def test_rates_and_the_costs_of_other_processes_are_medians_too():
    runs = [
        [Sample("x", 1.0, rate=rate, beside={"server": cost})]
        for rate, cost in ((900, 7), (1_500, 9), (1_200, 8))
    ]

    [row] = over(runs)

    assert cells(row)[2:4] == ("server 8.00", "1,200")


@pytest.mark.parametrize(("found", "said"), [(25.0, "25, native 15"), (25.1, "25, native 15 (missed)")])
def test_a_target_that_is_not_reached_is_called_missed(found, said):
    [row] = over([[Sample("x", found)]], targets={"x": Target(25, native=15)})

    assert cells(row)[6] == said


def test_a_target_names_what_others_need():
    assert str(Target(75, native=45, marks="Knative 60")) == "75, native 45; Knative 60"


def test_what_could_not_be_measured_is_a_line_of_its_own_with_the_reason():
    said = line(cells(absent("kafka: publish", "no server")))

    assert said.split() == ["kafka:", "publish", "not", "measured:", "no", "server"]


def test_a_document_gets_one_line_for_each_row_and_a_head():
    text = markdown([Row("a", [1.0], noise=Noise(0.1, 0.0)), Row("b", [2_000.0, 4_000.0], unit="ms")])

    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[2] == "| a | 1.00 µs |  |  |  | 0.10 |  |"
    assert lines[3] == "| b | 3,000 ms (2,000–4,000) |  |  |  |  |  |"


def test_a_sitting_is_added_after_those_before_it_and_nothing_else_changes():
    before = f"# Performance\n\n{record.BEGIN}\n\n### first\n\n{record.END}\n\nThe end.\n"

    after = record.appended(before, "### second\n")

    assert (
        after == f"# Performance\n\n{record.BEGIN}\n\n### first\n\n### second\n\n{record.END}\n\nThe end.\n"
    )


def test_a_document_without_a_place_for_measurements_is_refused():
    with pytest.raises(ValueError, match="there is no"):
        record.appended("# Performance\n", "### first\n")
