"""The containers' own commands, environments and files, run natively: no engine, but the programs themselves."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from mesh_gateway.testing.ports import free_port
from tests.deploy.compose import ROOT, Stage, compose, stages
from tests.deploy.servers import required
from tests.harness import PATIENCE, post

TRANSPORTS: dict[str, tuple[str, ...]] = {
    "embedded": (),
    "kafka": ("MESH_TEST_KAFKA",),
    "rabbitmq": ("MESH_TEST_RABBITMQ",),
    "sqs": ("MESH_TEST_SQS",),
}
PROGRAMS = Path(sys.executable).parent


class Container:
    """The gateway as compose starts it, in a folder instead of a container.

    Nothing of this process's environment is in its own; only addresses and folders are others.
    """

    def __init__(self, folder: Path, transport: str) -> None:
        self.broker = f"hello-{uuid.uuid4().hex[:8]}"
        self._stage: Stage = stages()[compose()["services"]["mesh"]["build"]["target"]]
        self._ports = free_port(), free_port()
        self._folder = folder
        self.documents()
        address = "".join(required(*TRANSPORTS[transport])).replace("guest:guest@", "")
        (folder / "rabbitmq-password").write_text("guest\n")
        given = {"COMPOSE_PROFILES": transport, f"MESH_{transport.upper()}": address} if address else {}
        given["MESH_RABBITMQ_USER"] = "guest"
        self.environment = {
            **compose(given)["services"]["mesh"]["environment"],
            "MESH_SECRETS": str(folder),
            "MESH_GATEWAY_ADMIN": f"http://127.0.0.1:{self._ports[1]}",
            "PATH": f"{PROGRAMS}:/usr/bin:/bin",
        }
        self._process: asyncio.subprocess.Process

    def documents(self) -> None:
        """Those that compose mounts, with a name that nobody else has on a server that others use too."""
        (source,) = (m for m in compose()["services"]["mesh"]["volumes"] if m.endswith(":/etc/mesh:ro"))
        shutil.copytree(ROOT / source.split(":")[0], self._folder / "documents")
        path = self._folder / "documents" / "hello.yaml"
        path.write_text(re.sub(r"\bhello\b", self.broker, path.read_text()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}/default/{self.broker}"

    def words(self, command: list[str]) -> list[str]:
        ours = {
            "/etc/mesh": str(self._folder / "documents"),
            "/var/lib/mesh": str(self._folder / "state"),
            "0.0.0.0:8080": f"127.0.0.1:{self._ports[0]}",
        }
        return [ours.get(word, word) for word in command]

    async def start(self) -> None:
        entry = self._stage.words("ENTRYPOINT") + self._stage.words("CMD")
        admin = ["--admin", f"127.0.0.1:{self._ports[1]}"]
        with (self._folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAMS / entry[0],
                *self.words(entry[1:]),
                *admin,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    async def stop(self) -> int:
        """SIGTERM, as the engine does; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def healthy(self) -> bool:
        """What the image's healthcheck says."""
        command = self._stage.words("HEALTHCHECK")
        check = await asyncio.create_subprocess_exec(
            PROGRAMS / command[0], *command[1:], env=self.environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return await check.wait() == 0

    async def become_healthy(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await self.healthy():
                assert self._process.returncode is None, self.log()
                await asyncio.sleep(0.1)

    def log(self) -> str:
        return (self._folder / "log").read_text()


@contextlib.asynccontextmanager
async def running(container: Container) -> AsyncIterator[Container]:
    await container.start()
    try:
        yield container
    finally:
        await container.stop()


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.servers] * bool(needed))
        for name, needed in sorted(TRANSPORTS.items())
    ]
)
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Container:
    return Container(tmp_path, request.param)


def test_the_documents_that_compose_mounts_have_no_fault():
    done = subprocess.run(
        [PROGRAMS / "mesh-gateway", "lint", "--strict", "-f", str(ROOT / "deploy/mesh")],
        env={"PATH": "/usr/bin:/bin", "MESH_SECRETS": str(ROOT / "deploy/secrets")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_gateway_becomes_healthy_and_shows_what_is_posted_and_stops_in_order(container: Container):
    async with running(container):
        await container.become_healthy()
        headers = {"ce-specversion": "1.0", "ce-id": "one", "ce-source": "/tests", "ce-type": "greeting"}
        assert await asyncio.to_thread(post, container.url, b"hello", headers) == 202
        async with asyncio.timeout(PATIENCE):
            while "greeting" not in container.log():
                await asyncio.sleep(0.05)
        assert await container.stop() == 0
    assert not await container.healthy()


async def test_a_gateway_whose_broker_is_down_is_alive_and_not_healthy(tmp_path: Path):
    container = Container(tmp_path, "embedded")
    container.environment |= {"MESH_TRANSPORT": "kafka", "MESH_KAFKA": f"127.0.0.1:{free_port()}"}
    async with running(container):
        live = container.environment["MESH_GATEWAY_ADMIN"] + "/livez"
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(_status, live) != 200:
                await asyncio.sleep(0.05)
        assert not await container.healthy()


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """`scripts/servers`, whose programs the containers are run with; what they write goes into a folder of ours."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("MESH_SERVICES_PROGRAMS", _programs())
    monkeypatch.setenv("MESH_SERVICES_HOME", str(tmp_path / "services"))
    return importlib.import_module("servers")


def _programs() -> str:
    given = os.environ.get("MESH_SERVICES_PROGRAMS")
    return given or str(Path.home() / ".cache" / "mesh-services" / "programs")


def kafka_properties(environment: Mapping[str, object]) -> dict[str, str]:
    """server.properties as the image makes it of its environment."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in environment.items()
        if name.startswith("KAFKA_")
    }


def test_kafka_is_configured_as_the_server_that_the_tests_run_against(servers: ModuleType):
    kafka = importlib.import_module("servers.kafka")
    native = dict(line.split("=", 1) for line in kafka._single().splitlines())
    ours = kafka_properties(compose()["services"]["kafka"]["environment"])

    elsewhere = {"listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs", "node.id"}
    quorum = {"controller.quorum.voters", "controller.quorum.bootstrap.servers"}
    for_speed = ("num.partitions", "timeout.ms", "interval.ms", "initial.rebalance.delay.ms")
    # Tests meet Kafka's own default of auto.create.topics.enable, which is the harder one: we are to create nothing by asking.
    for_tests = ("listener.name.", "authorizer", "super.users", "auto.create.topics")
    for name in (native.keys() | ours.keys()) - elsewhere - quorum:
        if not name.endswith(for_speed) and not name.startswith(for_tests):
            assert ours.get(name) == native.get(name), name
    assert ours["node.id"] == ours["controller.quorum.voters"].split("@")[0]
    names = {part.split(":")[0] for part in ours["listener.security.protocol.map"].split(",")}
    assert {part.split(":")[0] for part in ours["listeners"].split(",")} == names
    assert {part.split(":")[0] for part in ours["advertised.listeners"].split(",")} == names - {"CONTROLLER"}


@pytest.mark.slow
def test_kafka_itself_takes_what_compose_configures(servers: ModuleType, tmp_path: Path):
    """Formats a data folder, as the container does at its first start: that reads and checks every setting."""
    _tool("java")
    kafka, maven = importlib.import_module("servers.kafka"), importlib.import_module("servers.maven")
    library = maven.jars(f"kafka-{kafka.VERSION}", kafka.ARTIFACTS)
    properties = kafka_properties(compose()["services"]["kafka"]["environment"])
    properties["log.dirs"] = str(tmp_path / "data")
    (tmp_path / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
    done = subprocess.run(
        ["java", "-cp", f"{library}/*", "kafka.tools.StorageTool", "format", "--cluster-id", "4L6g3nShT-eMCtK--X86sw",
         "-c", str(tmp_path / "server.properties")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "data" / "meta.properties").exists()


def _tool(name: str) -> None:
    if shutil.which(name) is None:
        if os.environ.get("MESH_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")


@pytest.mark.slow
async def test_the_sqs_server_names_its_queues_as_the_client_called_it(servers: ModuleType, tmp_path: Path):
    """ElasticMQ with the file that compose mounts, asked as the container's healthcheck asks."""
    _tool("java")
    sqs, maven = importlib.import_module("servers.sqs"), importlib.import_module("servers.maven")
    library = maven.jars(f"elasticmq-{sqs.VERSION}", sqs.ARTIFACTS)
    service = compose()["services"]["sqs"]
    assert service["image"].endswith(f":{sqs.VERSION}")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "java", "-Xmx192m", f"-Dconfig.file={ROOT / service['volumes'][0].split(':')[0]}",
        f"-Drest-sqs.bind-port={port}", "-Drest-sqs.bind-hostname=127.0.0.1", "-cp", f"{library}/*",
        "org.elasticmq.server.Main", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        check = service["healthcheck"]["test"][-1].replace(":9324", f":{port}")
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(_status, check) != 200:
                assert process.returncode is None
                await asyncio.sleep(0.1)
        for host in ("localhost", "127.0.0.1"):
            create = f"http://{host}:{port}/?Action=CreateQueue&QueueName=one"
            with urllib.request.urlopen(create, timeout=10) as answer:
                assert f"<QueueUrl>http://{host}:" in answer.read().decode()
    finally:
        process.terminate()
        await process.wait()
