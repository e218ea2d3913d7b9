"""`probe`: what it refuses before it starts anything, the Triggers it prints, and the verdict on a kept history."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.probe.story import Story


def test_a_port_that_is_taken_is_named(run: Run, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]

        result = run(
            "probe",
            "--broker",
            "http://127.0.0.1:1/a/b",
            "--port",
            str(port),
            "--fault",
            "restart=true",
            "--history",
            str(tmp_path / "h"),
        )

    assert result.exit_code == 1
    assert "faults: restart;" in result.stderr
    assert f"the sink steady cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: orders, namespace: shop}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--faults", "kill,lightning"], "no fault 'lightning'"),
        (["--fault", "restart"], "NAME=COMMAND"),
        (["--fault", "Re start=true"], "NAME=COMMAND"),
        (["--broker", "http://x/a/b", "--faults", "kill"], "--fault NAME=COMMAND"),
        (["--broker", "http://x/a/b", "-f", "x.yaml"], "-f is for a gateway of the run's own"),
        (["--broker", "nowhere"], "not a URL"),
        (["--seconds", "1"], "--seconds"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_with_the_way_out(run: Run, arguments, said):
    result = run("probe", *arguments)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_folder_with_something_in_it_is_left_alone(run: Run, tmp_path: Path):
    (tmp_path / "precious").write_text("x")

    result = run("probe", "--history", str(tmp_path))

    assert result.exit_code == 78
    assert "give --history a new folder" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_files_without_exactly_one_transport_are_refused(run: Run, tmp_path: Path):
    file = tmp_path / "mesh.yaml"
    file.write_text(BROKER)

    result = run("probe", "-f", str(file), "--history", str(tmp_path / "h"))

    assert result.exit_code == 78
    assert "probe wants one" in result.stderr


def test_the_triggers_it_prints_are_served_beside_the_broker(run: Run, tmp_path: Path):
    printed = run("probe", "documents", "shop/orders", "--host", "10.0.0.5", "--port", "7000")
    file = tmp_path / "mesh.yaml"
    file.write_text(BROKER + printed.stdout)

    linted = run("lint", "-f", str(file), "--strict")

    assert (printed.exit_code, linted.exit_code) == (0, 0), linted.stderr
    assert "http://10.0.0.5:7000/steady" in printed.stdout
    assert "hopeless" not in printed.stdout, "its dead letters could not be read"


def kept(story: Story, directory: Path) -> Path:
    story.plan.save(directory)
    lines = [{name: value for name, value in line.items() if name != "_at"} for line in story.lines]
    (directory / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def test_a_kept_history_is_judged_and_the_exit_code_says_how(run: Run, tmp_path: Path):
    good, lost, empty = Story(own=False), Story(own=False), Story(own=False)
    for story in (good, lost):
        story.send()
    good.got("a")
    for index, (story, word, code) in enumerate(
        ((good, "pass", 0), (lost, "anomaly", 1), (empty, "invalid", 3))
    ):
        story.line("quiesce", on=False, seconds=5.0, over=True)
        directory = tmp_path / str(index)
        directory.mkdir()

        result = run("probe", "check", str(kept(story, directory)))

        assert result.exit_code == code
        assert f"verdict: {word}" in result.stdout


def test_an_anomaly_is_shown_with_the_lines_that_prove_it(run: Run, tmp_path: Path):
    story = Story()
    story.send()
    story.got("a", how="refuse", code=422)

    table = run("probe", "check", str(kept(story, tmp_path)))
    document = json.loads(run("probe", "check", str(tmp_path), "-o", "json").stdout)

    assert "LOST: s1/k0/1 was acknowledged" in table.stdout
    assert "all.jsonl:4" in table.stdout
    assert "code=422" in table.stdout
    assert document["verdict"] == "anomaly"
    assert [line["op"] for line in document["anomalies"][0]["lines"]] == ["invoke", "ok", "recv", "answer"]


def test_of_many_anomalies_some_are_shown_and_the_command_for_all_of_them(run: Run, tmp_path: Path):
    story = Story()
    for number in range(1, 8):
        story.send(f"s1/k0/{number}")

    table = run("probe", "check", str(kept(story, tmp_path)))

    assert table.stdout.count("LOST: ") == 5
    assert f"… and 2 more; all of them: mesh-gateway probe check {tmp_path} -o json" in table.stdout


def test_a_folder_without_a_history_is_no_verdict(run: Run, tmp_path: Path):
    result = run("probe", "check", str(tmp_path))

    assert result.exit_code == 1
    assert "holds no run of the prober" in result.stderr
