"""What *Beside your existing …* says is enough: its commands run against real servers."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
import sys
import urllib.parse
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from tests.deploy.page import blocks, commands
from tests.deploy.servers import required
from tests.harness import PATIENCE, Answer, GatewayProcess, Request, Subscriber, post, running

pytestmark = pytest.mark.servers

DRIFT = "a channel differs from its document"


class Beside:
    """The page's documents and commands of one chapter, in a namespace that nobody else has."""

    def __init__(self, chapter: str, folder: Path) -> None:
        self.chapter = chapter
        self.folder = folder
        self.namespace = f"shop{uuid.uuid4().hex[:8]}"
        self.names = {"shop": self.namespace}

    def documents(self, subscriber: str, options: dict[str, Any]) -> str:
        """The page's YAML, with these options in place of those that name the reader's own servers."""
        [mesh] = blocks("", "yaml", {**self.names, "http://billing:8080/": subscriber})
        [transport] = blocks(self.chapter, "yaml", {})
        found = [*yaml.safe_load_all(mesh), yaml.safe_load(transport)]
        found[-1]["spec"]["options"] |= options
        found[-1]["spec"]["options"] = {
            k: v for k, v in found[-1]["spec"]["options"].items() if v is not None
        }
        assert found[-1]["spec"]["ensure"] == "verify"
        return yaml.safe_dump_all(found)

    async def lives(self, options: dict[str, Any]) -> None:
        """A Broker's whole life with the page's permissions only: an event, a dead letter, a restart, a redrive."""
        refusing = True

        def answer(request: Request) -> Answer:
            return Answer(422 if refusing and request.id == "two" else 202)

        async with Subscriber(answer) as s:
            gateway = GatewayProcess(self.documents(s.url + "/", options), self.folder)
            async with running(gateway):
                for id in ("one", "two"):
                    assert await self.post(gateway, id) == 202
                await s.received(lambda requests: len(requests) >= 2)
                await gateway.settled()
                await self.dead_letters_are(gateway, ["two"])
                assert await gateway.terminate() == 0
            async with running(gateway):
                await self.dead_letters_are(gateway, ["two"])
                refusing = False
                await self.redrive(gateway)
                await s.received(lambda requests: len(requests) >= 3)
                await self.dead_letters_are(gateway, [])
        assert s.ids() in (["one", "two", "two"], ["two", "one", "two"])

    async def dead_letters_are(self, gateway: GatewayProcess, ids: list[str]) -> None:
        """Returns once they are: what a stream of RabbitMQ has just taken can be read a moment later."""
        async with asyncio.timeout(PATIENCE):
            while True:
                _, page = await gateway.get(f"/api/v1/dead-letters?broker={self.namespace}/orders")
                if [letter["id"] for letter in page["items"]] == ids:
                    return
                await asyncio.sleep(0.05)

    async def redrive(self, gateway: GatewayProcess) -> None:
        admin = f"http://127.0.0.1:{gateway.admin}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh_gateway", "dlq", "redrive", f"{self.namespace}/orders", "--yes",
            "--admin", admin, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 0

    async def post(self, gateway: GatewayProcess, id: str) -> int:
        headers = {"ce-specversion": "1.0", "ce-id": id, "ce-source": "/tests", "ce-type": "order.created"}
        return await asyncio.to_thread(post, f"{gateway.url}/{self.namespace}/orders", b"{}", headers)


# ── Kafka ────────────────────────────────────────────────────────────────────────────────────────

OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
RESOURCES = {"--topic": 2, "--group": 3}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
Acl = tuple[int, str, int, int]
"""Kind of resource, its name, literal or prefixed, operation."""


def acls(beside: Beside) -> list[Acl]:
    """The permissions that the page gives."""
    found: list[Acl] = []
    for pairs in commands("Kafka", "kafka", "--add", beside.names):
        options = dict(pairs)
        assert options["--allow-principal"] == "User:mesh"
        [(kind, name)] = [(RESOURCES[o], value) for o, value in pairs if o in RESOURCES]
        pattern = PREFIXED if options.get("--resource-pattern-type") == "prefixed" else LITERAL
        found += [(kind, name, pattern, OPERATIONS[value]) for o, value in pairs if o == "--operation"]
    return found


class KafkaAdmin:
    """What an administrator does with kafka-topics and kafka-acls, for the user `nobody` of the test server."""

    def __init__(self, client: AIOKafkaAdminClient) -> None:
        self._client = client
        self._given: list[Acl] = []

    async def create_topics(self, beside: Beside) -> None:
        topics = []
        for pairs in commands("Kafka", "kafka", "--create", beside.names):
            options = dict(pairs)
            assert options["--replication-factor"] == "3"
            configs = dict(value.split("=") for option, value in pairs if option == "--config")
            configs["min.insync.replicas"] = "1"  # one server stands for three
            topics.append(
                NewTopic(options["--topic"], int(options["--partitions"]), 1, topic_configs=configs)
            )
        answer = await self._client.create_topics(topics)
        assert all(code == 0 for _, code, _ in answer.topic_errors), answer

    async def allow(self, some: Iterable[Acl]) -> None:
        for kind, name, pattern, operation in some:
            request = CreateAclsRequest(kind, name, pattern, "User:nobody", "*", operation, ALLOW)
            answer = await self._client._send_to_controller(request)
            assert [error for error, _ in answer.creation_responses] == [0], answer
            self._given.append((kind, name, pattern, operation))

    async def forbid_everything_again(self) -> None:
        for kind, name, pattern, operation in self._given:
            request = DeleteAclsRequest(kind, name, pattern, "User:nobody", "*", operation, ALLOW)
            await self._client._send_to_controller(request)


@pytest.fixture
async def kafka() -> AsyncIterator[KafkaAdmin]:
    [server] = required("MESH_TEST_KAFKA")
    client = AIOKafkaAdminClient(bootstrap_servers=server)
    await client.start()
    admin = KafkaAdmin(client)
    try:
        yield admin
    finally:
        await admin.forbid_everything_again()
        await client.close()


def kafka_options(folder: Path) -> dict[str, Any]:
    [server] = required("MESH_TEST_KAFKA_SASL")
    (folder / "password").write_text("nobody-secret")
    password = {"valueFrom": {"file": str(folder / "password")}}
    sasl = {"mechanism": "SCRAM-SHA-512", "username": "nobody", "password": password}
    return {"bootstrapServers": server, "tls": None, "sasl": sasl, "replicationFactor": 1}


async def test_the_topics_and_permissions_of_the_page_are_enough_on_kafka(kafka: KafkaAdmin, tmp_path: Path):
    beside = Beside("Kafka", tmp_path)
    await kafka.create_topics(beside)
    await kafka.allow(acls(beside))

    await beside.lives(kafka_options(tmp_path))

    assert DRIFT not in (tmp_path / "gateway.log").read_text()


# ── RabbitMQ ─────────────────────────────────────────────────────────────────────────────────────


class RabbitAdmin:
    """What an operator does with rabbitmqctl and definitions, over the management API."""

    def __init__(self, api: str, user: str) -> None:
        self._api = api
        self._user = user

    def ask(self, method: str, path: str, body: object = None) -> None:
        request = urllib.request.Request(
            f"{self._api}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Basic {GUEST}"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    def make(self, beside: Beside) -> None:
        [definitions] = blocks("RabbitMQ", "definitions", beside.names)
        self.ask("POST", "definitions", json.loads(definitions))
        self.ask("PUT", f"users/{self._user}", {"password": "secret", "tags": ""})

    def allow(self, configure: str, write: str, read: str) -> None:
        rights = {"configure": configure, "write": write, "read": read}
        self.ask("PUT", f"permissions/%2F/{self._user}", rights)

    def remove_user(self) -> None:
        self.ask("DELETE", f"users/{self._user}")


GUEST = base64.b64encode(b"guest:guest").decode()


async def test_the_definitions_and_permissions_of_the_page_are_enough_on_rabbitmq(tmp_path: Path):
    url, api = required("MESH_TEST_RABBITMQ", "MESH_TEST_RABBITMQ_API")
    beside = Beside("RabbitMQ", tmp_path)
    admin = RabbitAdmin(api, beside.namespace)
    admin.make(beside)
    try:
        for block in blocks("RabbitMQ", "rabbitmq", beside.names):
            for line in block.splitlines():
                if "set_permissions" in line:
                    admin.allow(*shlex.split(line)[-3:])
        (tmp_path / "password").write_text("secret")
        password = {"valueFrom": {"file": str(tmp_path / "password")}}
        address = url.replace("guest:guest@", "")
        await beside.lives({"url": address, "username": beside.namespace, "password": password, "tls": None})

        assert DRIFT not in (tmp_path / "gateway.log").read_text()
    finally:
        admin.remove_user()


# ── SQS ──────────────────────────────────────────────────────────────────────────────────────────


class Eavesdropper:
    """Stands before an SQS server and notes which actions are asked for."""

    def __init__(self, server: str) -> None:
        parts = urllib.parse.urlsplit(server)
        self._server = parts.hostname, parts.port
        self.actions: set[str] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._door = await asyncio.start_server(self._between, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._door.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._door.wait_closed()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(*self._server)
        for source, target, note in ((reader, requests, True), (answers, writer, False)):
            pump = asyncio.create_task(self._pump(source, target, note=note))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, note: bool) -> None:
        try:
            while data := await source.read(2**16):
                if note:
                    found = re.findall(rb"X-Amz-Target: AmazonSQS\.(\w+)", data, re.IGNORECASE)
                    self.actions |= {name.decode().removesuffix("Batch") for name in found}
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.transport.abort()


async def test_the_queues_and_the_policy_of_the_page_are_enough_on_sqs(tmp_path: Path):
    """ElasticMQ asks nobody for permission: what the policy allows is compared with what is asked for."""
    [server] = required("MESH_TEST_SQS")
    beside = Beside("SQS", tmp_path)
    client = boto3.client("sqs", endpoint_url=server, region_name="us-east-1")
    for pairs in commands("SQS", "sqs", "create-queue", beside.names):
        options = dict(pairs)
        attributes = dict(pair.split("=", 1) for pair in options.get("--attributes", "").split(",") if pair)
        client.create_queue(QueueName=options["--queue-name"], Attributes=attributes)
    eavesdropper = Eavesdropper(server)

    async with eavesdropper as endpoint:
        await beside.lives({"endpoint": endpoint, "region": "us-east-1"})

    [policy] = blocks("SQS", "json", {})
    allowed = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    assert {f"sqs:{action}" for action in eavesdropper.actions} <= allowed
    assert DRIFT not in (tmp_path / "gateway.log").read_text()
