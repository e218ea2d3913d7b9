"""The image: its Dockerfile holds together, and its own commands, run here, build what it promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.compose import ROOT, compose, parsed, stages

IMAGES = ("mesh", "full")
UV = Path(sys.executable).parent / "uv"


def sources() -> list[str]:
    """What the Dockerfile copies out of the repository."""
    lines = [*stages()["native"].lines, *stages()["build"].lines]
    copies = [rest.split() for word, rest in lines if word == "COPY"]
    return [source for *given, _ in copies for source in given]


def test_what_is_copied_is_in_the_repository_and_not_kept_out_of_the_build():
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in sources():
        assert (ROOT / source).exists(), source
        assert not any(fnmatch(source, pattern) for pattern in ignored), source


def test_the_default_image_is_the_last_stage_and_compose_builds_one_that_exists():
    assert list(stages())[-1] == "mesh"
    build = compose()["services"]["mesh"]["build"]
    assert build["target"] in stages()
    assert (ROOT / build["context"] / "Dockerfile").exists()


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_every_file_from_a_stage_that_exists_and_runs_as_nobody_in_particular(image: str):
    stage = stages()[image]
    assert stage.last("COPY").split()[0].removeprefix("--from=") in stages()
    assert stage.last("USER") == "10001"
    assert stage.last("STOPSIGNAL") == "SIGTERM"
    assert stage.last("VOLUME") == "/var/lib/mesh"


@pytest.mark.parametrize("image", IMAGES)
def test_the_commands_of_the_image_are_commands_of_ours(image: str):
    stage = stages()[image]
    entry = stage.words("ENTRYPOINT")
    for words in (entry + stage.words("CMD"), stage.words("HEALTHCHECK")):
        assert words[0] == "mesh-gateway"
        parsed(words[1:])


def test_the_images_hold_every_plugin_of_this_project():
    installed = " ".join(rest for word, rest in stages()["build-full"].lines if word == "RUN")
    for plugin in sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")):
        assert f" ./plugins/{plugin} " in installed, plugin


def test_the_compiler_stays_in_the_stage_that_needs_it():
    for name, stage in stages().items():
        compiles = any("gcc" in rest for word, rest in stage.lines if word == "RUN")
        assert compiles == (name == "native"), name
    assert not any("--from=native" in rest for name in IMAGES for _, rest in stages()[name].lines)


@pytest.mark.slow
def test_the_builds_own_commands_make_a_program_with_its_plugins_in_the_locked_versions(tmp_path: Path):
    """The RUN lines of the build, with the uv of this environment and what they put into /opt in folders of their own."""
    if not UV.exists():
        pytest.skip(f"there is no {UV}: `make setup` makes it")
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, which the stage `native` has")
    source, target = tmp_path / "src", tmp_path / "mesh"
    for name in sources():
        _copy(ROOT / name, source / name)
    native, build, full = (
        [rest for word, rest in stages()[name].lines if word == "RUN"]
        for name in ("native", "build", "build-full")
    )

    _run("native", native[2:], source, target)  # those before are to get a compiler and uv
    _run("build", build[1:], source, target)  # the first one is to get uv
    assert _kinds(target) == {"embedded", "kafka", "rabbitmq"}
    assert "botocore" not in _versions(target)
    _run("build-full", full[len(build) :], source, target)
    shutil.rmtree(source)  # the image does not have it either
    shutil.rmtree(_wheels(target))

    said = json.loads(_output([f"{target}/bin/mesh-gateway", "version", "-o", "json"], target))
    assert said["native"] == _versions(target)["mesh-gateway-native"]
    assert _kinds(target) == {"embedded", "kafka", "rabbitmq", "sqs"}
    locked = set(
        re.findall(r"^([a-z0-9.-]+)==([^ ]+)", (ROOT / "requirements/runtime.txt").read_text(), re.M)
    )
    ours = {name for name in _versions(target) if name.startswith("mesh-gateway")}
    assert {(name, version) for name, version in _versions(target).items() if name not in ours} <= locked


def _copy(given: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    if given.is_dir():
        shutil.copytree(
            given,
            copy,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__", "tests", "build", "*.egg-info", "*.c"),
        )
    else:
        shutil.copy(given, copy)


def _run(stage: str, commands: list[str], source: Path, target: Path) -> None:
    given = stages()[stage].environment
    environment = {name: value.replace("/opt/mesh", str(target)) for name, value in given.items()}
    for command in commands:
        _, _, words = command.rpartition("--mount=type=cache,target=/root/.cache/uv")
        words = words.replace("/opt/mesh", str(target)).replace("/opt/wheels", str(_wheels(target)))
        _output(["bash", "-ec", words], source, environment)


def _wheels(target: Path) -> Path:
    return target.with_name("wheels")


def _output(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    path = f"{UV.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path, **(environment or {})},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _kinds(target: Path) -> set[str]:
    """Transport kinds that the program in this folder has, whether or not they can be used."""
    rows = json.loads(_output([f"{target}/bin/mesh-gateway", "plugins", "list", "-o", "json"], target))
    assert all(row["status"] == "ok" for row in rows), rows
    return {kind for row in rows for kind in row["transports"]}


def _versions(target: Path) -> dict[str, str]:
    rows = json.loads(
        _output([str(UV), "pip", "list", "--format=json", "-p", f"{target}/bin/python"], target)
    )
    return {row["name"]: row["version"] for row in rows}
