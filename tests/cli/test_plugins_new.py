"""`plugins new NAME`: a package that passes the kit from the first minute."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions import installed


@pytest.fixture
def package(run, tmp_path: Path) -> Path:
    """The package of a new kind, `blue-tide`."""
    result = run("plugins", "new", "blue-tide", "--into", str(tmp_path))
    assert result.exit_code == 0, result.stderr
    return tmp_path / "mesh-gateway-blue-tide"


def python(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in the package's folder, as if it were installed."""
    installed(package / "installed", "blue-tide", "mesh_blue_tide.plugin")
    environment = {**os.environ, "PYTHONPATH": f"{package / 'installed'}{os.pathsep}{package}"}
    return subprocess.run(
        [sys.executable, *words], cwd=package, env=environment, capture_output=True, text=True, check=False
    )


def test_its_own_conformance_test_passes(package: Path):
    done = python(package, "-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 40


def test_the_gateway_finds_it_and_its_check_conforms(package: Path):
    done = python(package, "-m", "mesh_gateway", "plugins", "check", "blue-tide", "-o", "json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["name"], report["level"]) == ("blue-tide", "conformant")


def test_no_word_of_the_skeleton_is_left(package: Path):
    files = [path for path in package.rglob("*") if path.is_file()]

    assert {path.name for path in files} >= {
        "pyproject.toml",
        "README.md",
        "test_conformance.py",
        "plugin.py",
    }
    assert (package / "mesh_blue_tide" / "transport.py").exists()
    for path in files:
        assert "example" not in path.read_text().lower(), path


def test_the_entry_point_names_the_new_module(package: Path):
    assert 'blue-tide = "mesh_blue_tide.plugin"' in (package / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["Blue", "blue_tide", "-blue", "blue--tide", "9blue", "../blue", ""])
def test_a_name_that_is_no_kind_is_refused_and_nothing_is_written(run, tmp_path: Path, name: str):
    result = run("plugins", "new", "--into", str(tmp_path), "--", name)

    assert result.exit_code == 2
    assert "lower-case letters" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_kind_that_there_is_already_is_refused(run, tmp_path: Path):
    result = run("plugins", "new", "embedded", "--into", str(tmp_path))

    assert result.exit_code == 1
    assert "already" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(run, tmp_path: Path):
    folder = tmp_path / "mesh-gateway-blue"
    folder.mkdir()
    (folder / "mine").write_text("mine")

    result = run("plugins", "new", "blue", "--into", str(tmp_path))

    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["mine"]
