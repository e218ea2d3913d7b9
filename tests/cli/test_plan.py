"""`plan` and `reload`: what a change would do, and doing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.topology import shown
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.transport.plugins import load_plugins

BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n"
TRIGGER = (
    "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\n"
    "spec: {broker: b, subscriber: {uri: 'http://x/'}}\n"
)
GATEWAY = (
    "---\napiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: mesh-gateway}\n"
    "spec: {ingress: {listen: '127.0.0.1:1234'}}\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mesh.yaml"


def spec_of(text: str, path: Path) -> GatewaySpec:
    path.write_text(text)
    loaded = load(Source.from_paths([str(path)]), environment={}, kinds=Kinds.of(load_plugins([])))
    assert loaded.spec is not None
    return loaded.spec


class Serving:
    """Answers `POST /api/v1/documents` as a gateway that serves these."""

    def __init__(self, gateway: Any, spec: GatewaySpec, *options: str) -> None:
        # The fake gateway answers what was set before it is asked: with no mark known, nothing secret is in it.
        answer = {"spec": shown.shown(spec, "0" * 32, set()), "options": list(options)}
        gateway.answers["POST", "/api/v1/documents"] = (200, answer)


def test_a_plan_against_files_shows_effects_and_exits_with_3(run, file: Path, tmp_path: Path):
    (tmp_path / "old.yaml").write_text(BROKER)
    file.write_text(BROKER + TRIGGER + GATEWAY)

    result = run("plan", "-f", str(file), "--against", str(tmp_path / "old.yaml"))

    assert result.exit_code == 3, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["~", "Gateway", "mesh-gateway", "ingress", "reset"] in lines
    assert ["+", "Trigger", "default/t", "-", "hot"] in lines


def test_a_plan_without_changes_exits_with_0_and_prints_no_data(run, file: Path):
    file.write_text(BROKER)

    result = run("plan", "-f", str(file), "--against", str(file))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing would change" in result.stderr


def test_a_plan_for_programs_is_one_document(run, file: Path, tmp_path: Path):
    (tmp_path / "old.yaml").write_text(BROKER + TRIGGER)
    file.write_text(BROKER)

    result = run("plan", "-f", str(file), "--against", str(tmp_path / "old.yaml"), "-o", "json")

    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["effect"] == "drain"
    assert told["changes"] == [
        {"noun": "triggers", "name": "default/t", "how": "removed", "effect": "drain", "what": []}
    ]


def test_a_plan_is_compared_with_what_a_running_gateway_serves(run, gateway, file: Path, tmp_path: Path):
    Serving(gateway, spec_of(BROKER + TRIGGER, tmp_path / "old.yaml"))
    file.write_text(BROKER)

    result = run("plan", "-f", str(file), "--admin", gateway.url)

    assert result.exit_code == 3, result.stderr
    assert result.stdout.splitlines()[1].split() == ["-", "Trigger", "default/t", "-", "drain"]


def test_what_the_gateway_was_started_with_is_no_change(run, gateway, file: Path, tmp_path: Path):
    running = spec_of(BROKER + GATEWAY, tmp_path / "old.yaml")
    Serving(gateway, running, "--ingress")
    file.write_text(BROKER)

    result = run("plan", "-f", str(file), "--admin", gateway.url)

    assert result.exit_code == 0, result.stdout


def test_a_plan_with_wrong_documents_is_78(run, file: Path):
    file.write_text("kind: Broker: [")

    assert run("plan", "-f", str(file), "--against", str(file)).exit_code == 78


def test_a_plan_against_nobody_is_69(run, nobody, file: Path):
    file.write_text(BROKER)

    assert run("plan", "-f", str(file), "--admin", nobody).exit_code == 69


def test_a_reload_tells_the_generation_and_what_it_has_changed(run, gateway):
    changes = [{"noun": "triggers", "name": "default/t", "how": "added", "effect": "hot", "what": []}]
    outcome = {"result": "applied", "generation": 8, "digest": "abc", "reason": "", "seconds": 0.14, "at": 1.0,
               "changes": changes}  # fmt: skip
    gateway.answers["POST", "/api/v1/reload"] = (200, outcome)

    result = run("reload", "--admin", gateway.url)

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("generation 8 · documents abc · in 140 ms")
    assert "Trigger default/t" in result.stdout


def test_a_refused_reload_says_why_and_exits_with_1(run, gateway):
    gateway.answers["POST", "/api/v1/reload"] = (409, {"detail": "mesh.yaml:3:1 MG002 error nonsense"})

    result = run("reload", "--admin", gateway.url)

    assert result.exit_code == 1
    assert "MG002" in result.stderr
