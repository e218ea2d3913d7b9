"""Data in the form that was asked for."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from mesh_gateway.cli import output

ITEMS = [{"name": "a", "count": 1, "why": None}, {"name": "größer", "count": 200, "why": "[red]no[/]"}]


def test_a_table_for_a_pipe_has_aligned_columns(capsys: pytest.CaptureFixture[str]):
    output.rows(ITEMS, ("name", "count", "why"), "table")

    assert capsys.readouterr().out.splitlines() == [
        "NAME    COUNT  WHY",
        "a           1  -",
        "größer    200  [red]no[/]",
    ]


def test_a_table_on_a_terminal_shows_markup_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    output.rows(ITEMS, ("name", "count", "why"), "table")

    assert "[red]no[/]" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_array_gives_back_the_records(form: str, capsys: pytest.CaptureFixture[str]):
    output.rows(ITEMS, ("name",), form)

    assert yaml.safe_load(capsys.readouterr().out) == ITEMS


def test_jsonl_has_one_object_a_line(capsys: pytest.CaptureFixture[str]):
    output.rows(ITEMS, ("name",), "jsonl")

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ITEMS


def test_no_rows_are_an_empty_array(capsys: pytest.CaptureFixture[str]):
    output.rows([], ("name",), "json")

    assert capsys.readouterr().out == "[]\n"


def test_control_characters_never_reach_the_terminal():
    assert output.clean("a\x1b[2Jb\nc") == "a�[2Jb�c"


def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch):
    assert "\x1b" in output.colour("x", "red")

    monkeypatch.setenv("NO_COLOR", "1")

    assert output.colour("x", "red") == "x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0.004, "4 ms"),
        (1.25, "1.2 s"),
        (3.0, "3 s"),
        (180, "3 min"),
        (7200, "2 h"),
        (400_000, "5 d"),
    ],
)
def test_a_duration_in_the_largest_unit_that_says_enough(seconds: float | None, text: str | None):
    assert output.duration(seconds) == text


def test_a_moment_is_utc():
    assert output.moment(0) == "1970-01-01T00:00:00Z"
