"""The same servers in containers, where a Docker engine answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from servers.home import ServiceError, port

FILE = Path(__file__).parent / "compose.yaml"
SINGLE = ("kafka", "rabbitmq", "sqs")


def engine_answers() -> bool:
    """`MESH_SERVICES=native|containers` decides; else whether there is an engine with compose."""
    chosen = os.environ.get("MESH_SERVICES")
    if chosen in ("native", "containers"):
        return chosen == "containers"
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            if subprocess.run(command, capture_output=True, timeout=10, check=False).returncode:
                return False
        except (OSError, subprocess.TimeoutExpired):
            return False
    return True


def compose(*words: str) -> str:
    """Run `docker compose` over our file. Raises `ServiceError` with what it said."""
    done = subprocess.run(
        ["docker", "compose", "-p", f"mesh-services-{port(0)}", "-f", str(FILE), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **{f"PORT_{n}": str(port(n)) for n in (9092, 5672, 15672, 9324)}},
    )
    if done.returncode:
        raise ServiceError(f"docker compose {words[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def environment() -> dict[str, str]:
    """What tests have to know. SASL, TLS and proxied listeners are there natively only."""
    return {
        "MESH_TEST_KAFKA": f"127.0.0.1:{port(9092)}",
        "MESH_TEST_RABBITMQ": f"amqp://guest:guest@127.0.0.1:{port(5672)}/",
        "MESH_TEST_RABBITMQ_API": f"http://127.0.0.1:{port(15672)}",
        "MESH_TEST_SQS": f"http://127.0.0.1:{port(9324)}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
