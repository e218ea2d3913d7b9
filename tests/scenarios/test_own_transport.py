"""The transport of examples/03-own-transport: found through its entry point, passes the kit, carries a mesh."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import TransportContext
from tests.distributions import installed
from tests.harness import GatewayProcess, Subscriber, running, send_batch

EXAMPLE = Path(__file__).parents[2] / "examples" / "03-own-transport"
PACKAGE = EXAMPLE / "mesh-gateway-redis"
SERVER = os.environ.get("MESH_TEST_REDIS", "")

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        not SERVER and os.environ.get("MESH_REQUIRE_SERVICES") != "1",
        reason="no Redis: scripts/services up redis, then eval its env",
    ),
]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))


class TestRedisTransport(TransportConformance):
    async def harness(self) -> Harness:
        if str(PACKAGE) not in sys.path:
            sys.path.insert(0, str(PACKAGE))
        from mesh_redis.options import RedisOptions  # type: ignore[import-not-found]
        from mesh_redis.transport import RedisTransport  # type: ignore[import-not-found]

        prefix = f"kit-{uuid.uuid4().hex[:8]}"

        def make(url: str = SERVER) -> RedisTransport:
            options = RedisOptions.model_validate({"url": url, "prefix": prefix})
            return RedisTransport(options, TransportContext("redis", None))

        where = urlsplit(SERVER)
        return Harness(
            make=make,
            options_model=RedisOptions,
            address=(where.hostname or "", where.port or 6379),
            through=lambda proxy: make("redis://{}:{}{}".format(*proxy.address, where.path)),
            denied={"unknown host": lambda: make("redis://nowhere.invalid:6379/0")},
        )


def test_the_package_has_no_more_than_300_lines_of_code():
    lines = [
        line.strip() for file in PACKAGE.glob("mesh_redis/*.py") for line in file.read_text().splitlines()
    ]

    assert len([line for line in lines if line and not line.startswith(("#", '"""'))]) <= 300


def path_with_the_package(folder: Path) -> str:
    """Where Python has to look so that the package seems installed."""
    installed(folder, "redis", "mesh_redis.plugin")
    return f"{folder}{os.pathsep}{PACKAGE}"


def test_its_documents_have_no_fault_once_it_is_path_with_the_package(tmp_path: Path):
    command = [sys.executable, "-m", "mesh_gateway", "lint", "--strict", "-f", str(EXAMPLE / "mesh.yaml")]
    environment = {**os.environ, "PYTHONPATH": path_with_the_package(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_gateway_finds_it_and_its_events_survive_kill_minus_nine(tmp_path: Path):
    async with Subscriber() as s:
        documents = (EXAMPLE / "mesh.yaml").read_text().replace("http://127.0.0.1:9090", s.url)
        environment = {
            "PYTHONPATH": path_with_the_package(tmp_path / "site"),
            "REDIS_URL": SERVER,
            "REDIS_PREFIX": uuid.uuid4().hex,
        }
        gateway = GatewayProcess(documents, tmp_path, environment)
        async with running(gateway):
            await send_batch(gateway, "/default/orders", [str(n) for n in range(50)])
            await gateway.kill()
        async with running(gateway):
            await s.received(lambda requests: {str(n) for n in range(50)} <= {r.id for r in requests})
