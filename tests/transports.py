"""The transports that whole-gateway tests run over, each with names of its own for every test."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mesh_gateway.testing.proxy import Proxy
from tests.harness import GatewayProcess

SERVICES = Path(__file__).parent.parent / "scripts" / "services"

REQUIRED = os.environ.get("MESH_REQUIRE_SERVICES") == "1"

ADDRESS = re.compile(r"([\w.-]+):(\d+)(?=/|,|$)")
"""Of a server, in what its environment variable says."""

DOCUMENT = """
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {{name: main}}
spec: {{kind: {kind}, options: {{{options}}}}}
"""


@dataclass(frozen=True)
class Backing:
    """A transport with a server behind it."""

    kind: str
    variable: str = ""
    """The environment variable that says where the server is."""
    options: str = ""
    """Of its Transport document; `{own}` is a prefix that no other test has."""
    lacks: frozenset[str] = field(default_factory=frozenset)
    """What it refuses, and says so: `groups`, `order`, `history` (a new group begins with what was before it)."""

    durable: bool = True
    """Whether the server keeps events when it is killed."""
    proxied: str = ""
    """The environment variable with the listener that sends its clients to a proxy, and where that has to listen."""

    async def service(self, verb: str) -> None:
        """`start`, `stop`, `kill`, `pause` or `unpause` the server."""
        command = (sys.executable, str(SERVICES), verb, self.kind)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()

    @property
    def server(self) -> str:
        return os.environ.get(self.variable, "")

    def proxy(self) -> Proxy:
        """A proxy in front of the server."""
        listens, port = ADDRESS.findall(self.server)[0], "0"
        if self.proxied:
            # A client of Kafka goes where the server says that it is.
            listens, (_, port) = ADDRESS.findall(os.environ[self.proxied])
        return Proxy((listens[0], int(listens[1])), int(port))

    def through(self, proxy: Proxy) -> Backing:
        """The same, reached through this proxy."""
        return self.at(ADDRESS.sub("{}:{}".format(*proxy.address), self.server))

    def at(self, server: str) -> Backing:
        """The same, at this address."""
        return replace(self, options=self.options.replace("{server}", server))

    def with_options(self, more: str) -> Backing:
        """The same, with these options besides."""
        return replace(self, options=f"{self.options}, {more}")

    def document(self, own: str) -> str:
        return DOCUMENT.format(kind=self.kind, options=self.options.format(own=own, server=self.server))

    def skip_if_absent(self) -> None:
        """Skip aloud without a server; fail where servers are required."""
        if self.variable and not self.server:
            if REQUIRED:
                pytest.fail(f"{self.variable} is not set: scripts/services up {self.kind}")
            pytest.skip(f"no server for {self.kind}: scripts/services up {self.kind}, then eval its env")

    def skip_without(self, ability: str) -> None:
        """Skip a story that this transport refuses to tell."""
        if ability in self.lacks:
            pytest.skip(f"{self.kind} declares that it has no {ability}; lint refuses such a document")


EMBEDDED = Backing("embedded")
KAFKA = Backing(
    "kafka",
    "MESH_TEST_KAFKA",
    'bootstrapServers: "{server}", partitions: 3, topic: "{own}-{{namespace}}-{{broker}}", '
    'group: "{own}.{{namespace}}.{{broker}}"',
    proxied="MESH_TEST_KAFKA_PROXIED",
)
RABBITMQ = Backing(
    "rabbitmq", "MESH_TEST_RABBITMQ", 'url: "{server}", prefix: "{own}"', lacks=frozenset({"history"})
)
SQS = Backing(
    "sqs",
    "MESH_TEST_SQS",
    'endpoint: "{server}", region: us-east-1, prefix: "{own}", waitTime: PT1S',
    lacks=frozenset({"groups", "history", "order"}),
    durable=False,
)
BACKINGS = (EMBEDDED, KAFKA, RABBITMQ, SQS)


@dataclass(frozen=True)
class Mesh:
    """Makes gateways whose brokers lie on one transport: `ON_MAIN` is the line that puts them there."""

    backing: Backing
    directory: Path
    own: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")

    def __call__(
        self, documents: str, name: str = "", environment: Mapping[str, str] | None = None
    ) -> GatewayProcess:
        """A gateway; several of one mesh (each with a `name`) share its channels."""
        directory = self.directory / name if name else self.directory
        directory.mkdir(exist_ok=True)
        return GatewayProcess(documents + self.backing.document(self.own), directory, environment)

    def rewrite(self, gateway: GatewayProcess, documents: str) -> None:
        """Give a gateway other documents, over the same channels."""
        gateway.file.write_text(documents + self.backing.document(self.own))


ON_MAIN = "config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: main}"


def one_trigger(url: str) -> str:
    """A broker on the main transport, whose one trigger gets everything."""
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/"}}}}
"""
