"""What processes wrote down is one history, even when one of them was killed in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh_gateway.testing.probe import plan
from mesh_gateway.testing.probe.history import BadHistory, History, read
from mesh_gateway.testing.probe.nemesis import last_op
from mesh_gateway.testing.probe.plan import Plan
from mesh_gateway.testing.probe.verdict import judge
from tests.probe.golden import WRONG
from tests.probe.story import Story


def test_lines_of_several_processes_are_merged_by_their_moments(tmp_path: Path):
    with History(tmp_path, "one") as one, History(tmp_path, "two") as two:
        one.write("a", ev="x")
        two.write("b")
        one.write("c")

    found = read(tmp_path)

    assert [(line["p"], line["op"]) for line in found] == [("one", "a"), ("two", "b"), ("one", "c")]
    assert found[0]["ev"] == "x"
    assert found[2]["_at"] == "one.jsonl:2"


def test_a_process_that_is_started_again_goes_on_in_its_file(tmp_path: Path):
    for op in ("a", "b"):
        with History(tmp_path, "one") as one:
            one.write(op)

    assert [line["op"] for line in read(tmp_path)] == ["a", "b"]


def test_a_line_that_was_cut_off_by_a_kill_was_not_told(tmp_path: Path):
    with History(tmp_path, "one") as one:
        one.write("a")
    with (tmp_path / "one.jsonl").open("a") as file:
        file.write('{"t":1,"p":"one","op":"half')

    assert [line["op"] for line in read(tmp_path)] == ["a"]


@pytest.mark.parametrize("line", ["[]", "{}", "nonsense", '{"t":"soon","op":"a"}', '{"t":1,"op":2}'])
def test_what_is_no_history_is_named_by_file_and_line(line: str, tmp_path: Path):
    (tmp_path / "one.jsonl").write_text('{"t":1,"p":"one","op":"a"}\n' + line + "\n")

    with pytest.raises(BadHistory, match=r"one\.jsonl:2"):
        read(tmp_path)


def test_an_empty_folder_is_no_history(tmp_path: Path):
    with pytest.raises(BadHistory, match="no history"):
        read(tmp_path)
    with pytest.raises(BadHistory, match=r"plan\.json"):
        plan.load(tmp_path)


def test_the_plan_of_a_run_is_read_as_it_was_written(tmp_path: Path):
    one = Plan(seed=9, faults=("kill",), ports={"steady": 1})
    one.save(tmp_path)
    found = plan.load(tmp_path)
    found.save(tmp_path)

    assert plan.load(tmp_path) == found
    assert (found.seed, found.faults, found.ports, found.sinks) == (9, ("kill",), {"steady": 1}, one.sinks)
    assert [one.wish for one in found.triggers] == [one.wish for one in Plan().triggers]


def test_a_history_in_files_is_judged_as_one_in_memory(tmp_path: Path):
    story = Story()
    WRONG["LOST refused_and_no_dead_letter"][1](story)
    story.plan.save(tmp_path)
    for line in story.lines:
        with (tmp_path / f"{line['p']}.jsonl").open("a") as file:
            file.write(json.dumps({name: value for name, value in line.items() if name != "_at"}) + "\n")

    found = judge(tmp_path)

    assert found.word == "anomaly"
    assert [one.kind for one in found.anomalies] == ["LOST"]
    assert [line["op"] for line in found.anomalies[0].lines] == ["invoke", "ok", "recv", "answer"]


def test_the_last_thing_that_a_process_did_is_seen_from_outside(tmp_path: Path):
    file = tmp_path / "s1.jsonl"
    file.write_text("")
    assert last_op(file) == ""
    with History(tmp_path, "s1") as one:
        one.write("invoke", ev="x" * 100)
        assert last_op(file) == "invoke"
        one.write("ok", ev="x" * 300)
        assert last_op(file) == "ok"
