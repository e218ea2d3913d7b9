"""The compose file holds together, as far as that can be said without an engine."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from mesh_gateway.topology.durations import seconds as iso_seconds
from tests.deploy.compose import ROOT, compose, interpolated, parsed, stages

PROFILES = {"kafka", "rabbitmq", "sqs"}
SERVICE = {
    "build", "cap_drop", "command", "depends_on", "environment", "extra_hosts", "healthcheck", "hostname", "image",
    "ports", "profiles", "read_only", "restart", "secrets", "security_opt", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def seconds(text: str) -> float:
    """Compose's own form of a duration: 1m30s."""
    parts = re.findall(r"(\d+)(ms|h|m|s)", text)
    assert "".join(n + unit for n, unit in parts) == text, f"{text!r} is no duration"
    return sum(int(n) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for n, unit in parts)


each_service = pytest.mark.parametrize("name", sorted(services()))


def test_variables_are_replaced_as_compose_does():
    environment = {"A": "a", "EMPTY": ""}
    assert interpolated("x${A}y$$z", environment) == "xay$z"
    assert interpolated("${EMPTY:-${NO:-${A}}}-${A:-b}", environment) == "a-a"
    with pytest.raises(KeyError):
        interpolated("${NO}", environment)


def test_every_key_is_one_that_compose_knows():
    document = compose()
    assert set(document) == {"services", "secrets", "volumes"}
    for name, service in document["services"].items():
        assert set(service) <= SERVICE, name
        assert set(service.get("healthcheck", {})) <= HEALTHCHECK, name


@each_service
def test_an_environment_holds_text_and_numbers_only(name: str):
    values = services()[name].get("environment", {}).values()
    assert all(type(value) in (str, int) for value in values), "compose refuses booleans: quote them"


@each_service
def test_a_port_is_published_on_localhost_only(name: str):
    for port in services()[name]["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_no_two_services_publish_the_same_port():
    published = [port.split(":")[1] for service in services().values() for port in service["ports"]]
    assert len(published) == len(set(published))


def test_volumes_and_secrets_are_declared_and_used_and_what_is_mounted_is_in_the_repository():
    document = compose()
    mounts = [mount.split(":") for s in document["services"].values() for mount in s.get("volumes", [])]
    named = {source for source, *_ in mounts if not source.startswith(".")}
    assert named == set(document["volumes"])
    used = {secret for s in document["services"].values() for secret in s.get("secrets", [])}
    assert used == set(document["secrets"])
    paths = [source for source, *_ in mounts if source.startswith(".")]
    paths += [secret["file"] for secret in document["secrets"].values()]
    for path in paths:
        assert (ROOT / path).exists(), path
    assert all(mount[2:] == ["ro"] for mount in mounts if mount[0].startswith(".")), (
        "ours, not the container's"
    )


def test_each_broker_is_a_profile_of_its_own_and_the_gateway_always_runs():
    found = {name: service.get("profiles") for name, service in services().items()}
    assert found == {"mesh": None, **{name: [name] for name in PROFILES}}


def test_the_gateway_waits_for_the_brokers_that_were_asked_for_and_for_no_other():
    waits = services()["mesh"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy", "required": False} for name in PROFILES}
    assert all("healthcheck" in services()[name] for name in waits)


@each_service
def test_a_healthcheck_is_well_formed_and_ends_before_the_next_one_begins(name: str):
    check = services()[name].get("healthcheck")
    if check is None:
        assert name == "mesh", "the image brings it"
        return
    kind, *words = check["test"]
    assert (kind == "CMD" and words) or (kind == "CMD-SHELL" and len(words) == 1)
    assert all(type(word) is str for word in words)
    assert seconds(check["timeout"]) <= seconds(check["interval"])
    assert seconds(check["start_interval"]) < seconds(check["start_period"])


@each_service
def test_an_image_has_a_version(name: str):
    assert re.search(r":\d", services()[name]["image"])


def test_the_gateway_may_write_its_state_and_nothing_else():
    mesh = services()["mesh"]
    assert mesh["read_only"] is True
    assert mesh["cap_drop"] == ["ALL"]
    assert mesh["security_opt"] == ["no-new-privileges:true"]
    writable = [mount for mount in mesh["volumes"] if not mount.endswith(":ro")]
    assert writable == [f"mesh-state:{stages()['full'].words('CMD')[4]}"]


def test_compose_gives_the_gateway_longer_than_it_takes_to_drain():
    documents = [
        d
        for path in sorted((ROOT / "deploy/mesh").glob("*.yaml"))
        for d in yaml.safe_load_all(path.read_text())
    ]
    (gateway,) = [d["spec"] for d in documents if d["kind"] == "Gateway"]
    assert seconds(services()["mesh"]["stop_grace_period"]) > iso_seconds(
        gateway.get("drainTimeout", "PT25S")
    )


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_profile_alone_says_where_brokers_lie(profile: str):
    mesh = compose({"COMPOSE_PROFILES": profile})["services"]["mesh"]
    assert mesh["environment"]["MESH_TRANSPORT"] == profile
    assert compose()["services"]["mesh"]["environment"]["MESH_TRANSPORT"] == "embedded"


def test_the_gateway_is_told_where_the_other_services_are():
    found = services()
    kafka = found["kafka"]["environment"]
    assert f"PLAINTEXT://{found['mesh']['environment']['MESH_KAFKA']}" in kafka[
        "KAFKA_ADVERTISED_LISTENERS"
    ].split(",")
    assert found["mesh"]["environment"]["MESH_SQS"] == "http://sqs:9324"
    assert found["mesh"]["environment"]["MESH_RABBITMQ"] == "amqp://rabbitmq:5672/"
    rabbit = found["rabbitmq"]["environment"]
    assert found["mesh"]["environment"]["MESH_RABBITMQ_USER"] == rabbit["RABBITMQ_DEFAULT_USER"]
    assert (ROOT / "deploy/secrets/rabbitmq-password").read_text() == rabbit["RABBITMQ_DEFAULT_PASS"] + "\n"


def test_programs_on_this_machine_reach_kafka_at_the_port_that_is_published():
    kafka = compose({"KAFKA_PORT": "29092"})["services"]["kafka"]
    assert kafka["ports"] == ["127.0.0.1:29092:9092"]
    assert "HOST://localhost:29092" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert "HOST://:9092" in kafka["environment"]["KAFKA_LISTENERS"].split(",")


def test_the_overlay_of_the_bridge_names_the_services_and_the_documents_of_its_example():
    folder = "examples/04-bridge"
    overlay = compose(file=ROOT / folder / "compose.yaml")["services"]
    mesh, subscribers = overlay["mesh"], overlay["subscribers"]
    assert set(overlay) - set(services()) == {"subscribers"}
    assert mesh["volumes"] == [f"./{folder}:/bridge:ro"]
    assert mesh["command"][:3] == ["run", "-f", "/bridge/mesh.yaml"]
    for command in (mesh["command"], subscribers["command"]):
        parsed(command)
    documents = (ROOT / folder / "mesh.yaml").read_text()
    servers = {name: value for name, value in mesh["environment"].items() if name in documents}
    assert servers == mesh["environment"], "a variable that the documents do not read"
    user = services()["rabbitmq"]["environment"]
    given = services()["mesh"]["environment"]
    assert servers == {
        "BRIDGE_RABBITMQ": f"amqp://{user['RABBITMQ_DEFAULT_USER']}:{user['RABBITMQ_DEFAULT_PASS']}@rabbitmq:5672/",
        "BRIDGE_KAFKA": given["MESH_KAFKA"],
        "BRIDGE_SQS": given["MESH_SQS"],
        "BRIDGE_SUBSCRIBERS": "http://subscribers:9090",
    }


def _compose_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def test_compose_itself_takes_the_file_in_every_combination_of_profiles():
    if not _compose_runs():
        pytest.skip("docker compose is not installed here; the other tests of this file stand in for it")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "COMPOSE_"))}
    bridge = ["-f", str(ROOT / "examples/04-bridge/compose.yaml")]
    for profiles in (
        ",".join(some) for n in range(4) for some in itertools.combinations(sorted(PROFILES), n)
    ):
        done = subprocess.run(
            ["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), *bridge, "config", "--quiet"],
            env={**clean, "COMPOSE_PROFILES": profiles},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
