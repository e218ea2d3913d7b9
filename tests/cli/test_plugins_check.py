"""`plugins check KIND`: the conformance kit from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mesh_gateway.cli import plugins_check
from tests.distributions import installed

LIAR = """
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from mesh_gateway.transport.hooks import TransportKind, hookimpl

class Liar(EmbeddedTransport):
    async def check(self):
        return []

@hookimpl
def mesh_transports():
    return [TransportKind("liar", "liar_plugin:Liar", "mesh_gateway.transport.embedded.options:EmbeddedOptions")]
"""


@pytest.fixture
def _liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plugin whose transport lies."""
    (tmp_path / "liar_plugin.py").write_text(LIAR)
    installed(tmp_path, "liar", "liar_plugin")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep + os.environ.get("PYTHONPATH", ""))


def test_an_honest_transport_conforms(run, tmp_path: Path):
    options = tmp_path / "options.yaml"
    options.write_text("maxBytes: 200000000\n")

    result = run("plugins", "check", "embedded", "--options", str(options), "-o", "json")

    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["name"], report["level"]) == ("embedded", "conformant")
    assert report["counts"]["failed"] == 0
    assert report["capabilities"]["ordering"] == "channel"
    assert "the harness names no address" in report["why"]
    tested = {one["test"]: one for one in report["tests"]}
    assert tested["test_closing_twice_is_harmless"]["outcome"] == "passed"
    assert tested["test_drift_is_reported_and_not_raised"]["outcome"] == "untried"


@pytest.mark.usefixtures("_liar")
def test_a_lying_transport_does_not(run):
    result = run("plugins", "check", "liar")

    assert result.exit_code == 1
    assert "liar: experimental" in result.stdout
    assert "test_a_healthy_transport_checks_itself_as_healthy" in result.stdout
    assert "nothing was checked" in result.stdout


def test_a_kind_that_nobody_brings_is_told_with_those_that_there_are(run):
    result = run("plugins", "check", "natz")

    assert result.exit_code == 2
    assert "'natz'" in result.stderr
    assert "embedded" in result.stderr


def test_options_that_the_kind_does_not_know_are_told(run, tmp_path: Path):
    options = tmp_path / "options.yaml"
    options.write_text("maxByte: 1\n")

    result = run("plugins", "check", "embedded", "--options", str(options))

    assert result.exit_code == 78
    assert "maxByte" in result.stderr


def test_options_that_are_no_mapping_are_told(run, tmp_path: Path):
    options = tmp_path / "options.yaml"
    options.write_text("- maxBytes\n")

    result = run("plugins", "check", "embedded", "--options", str(options))

    assert result.exit_code == 78
    assert "not a mapping" in result.stderr


def test_options_without_a_kind_make_no_sense(run, tmp_path: Path):
    options = tmp_path / "options.yaml"
    options.write_text("")

    assert run("plugins", "check", "--options", str(options)).exit_code == 2


def test_without_pytest_it_says_how_to_install_it(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plugins_check, "find_spec", lambda name: None)

    result = run("plugins", "check", "embedded")

    assert result.exit_code == 1
    assert "pip install pytest" in result.stderr


def test_the_form_may_stand_before_the_verb(run):
    assert json.loads(run("plugins", "-o", "json", "list").stdout)[0]["name"] == "built-in"
