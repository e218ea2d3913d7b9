"""Canaries in every place that takes a secret, and then a look into everything that a gateway writes or says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from mesh_gateway.cli.group import cli
from mesh_gateway.testing.ports import free_port
from tests.harness import PATIENCE, Answer, GatewayProcess, Subscriber, post, running

SECRETS = {
    "ADMIN": "CANARY-admin-token",
    "PEER": "CANARY-peer-token",
    "RELAY": "CANARY-relay-token",
    "SUBSCRIBER": "CANARY-subscriber-token",
    "HEADER": "CANARY-endpoint-header",
    "KAFKA": "CANARY-kafka-password",
    "RABBIT_URL": "amqp://user:CANARY%2Drabbit%2Durl@127.0.0.1:{closed}/",
    "RABBIT": "CANARY-rabbit-password",
    "AWS_ACCESS_KEY_ID": "CANARYAWSKEYID",
    "AWS_SECRET_ACCESS_KEY": "CANARY-aws-secret",
    "AWS_SESSION_TOKEN": "CANARY-aws-session",
}
HELD = (
    "CANARY-rabbit-url",
    "CANARY%2Drabbit%2Durl",
    "CANARY-in-a-secret",
    "CANARY-producer",
    "CANARY-cookie",
    "CANARY-proxy",
)
"""Others: parts of values, those of a Secret document, and what the producer shows."""

DOCUMENTS = """
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {{name: g}}
spec:
  cluster: here
  admin: {{token: {{valueFrom: {{env: ADMIN}}}}}}
  peers: [{{cluster: there, bearer: {{valueFrom: {{env: PEER}}}}}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: plain}}
stringData: {{token: CANARY-in-a-secret}}
data: {{other: {encoded}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {{name: kafka}}
spec: {{kind: kafka, options: {{bootstrapServers: "127.0.0.1:{closed}", sasl: {{mechanism: PLAIN, username: u, password: {{valueFrom: {{env: KAFKA}}}}}}}}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {{name: rabbit-url}}
spec: {{kind: rabbitmq, options: {{url: {{valueFrom: {{env: RABBIT_URL}}}}}}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {{name: rabbit}}
spec: {{kind: rabbitmq, options: {{url: "amqp://127.0.0.1:{closed}/", username: u, password: {{valueFrom: {{file: rabbit.txt}}}}}}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {{name: sqs}}
spec: {{kind: sqs, options: {{region: eu-west-1, endpoint: "http://127.0.0.1:{closed}"}}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Endpoint
metadata: {{name: bearer}}
spec:
  url: "{url}/bearer"
  auth: {{bearer: {{valueFrom: {{env: SUBSCRIBER}}}}}}
  headers: {{x-api-key: "${{HEADER}}"}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Endpoint
metadata: {{name: of-a-secret}}
spec: {{url: "{url}/of-a-secret", auth: {{bearer: {{valueFrom: {{secretKeyRef: {{name: plain, key: token}}}}}}}}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Endpoint
metadata: {{name: certificate}}
spec: {{url: "https://127.0.0.1:{closed}/", caCerts: {{file: ca.pem}}, auth: {{clientCertificate: {{certificate: cert.pem, key: key.pem}}}}}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {{name: away}}
spec: {{from: b, to: {{uri: "http://127.0.0.1:{closed}/default/b"}}, auth: {{bearer: {{valueFrom: {{env: RELAY}}}}}}}}
"""

BROKER = """---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: {name}}}
spec: {{config: {{apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: {transport}}}}}
"""

TRIGGER = """---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: {name}}}
spec: {{broker: b, subscriber: {{ref: {{apiVersion: mesh-gateway.dev/v1alpha1, kind: Endpoint, name: {name}}}}}, delivery: {{retry: 0}}}}
"""

EVENT = {
    "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "content-type": "application/json",
    "authorization": "Bearer CANARY-peer-token", "cookie": "session=CANARY-cookie", "proxy-authorization": "Basic CANARY-proxy",
}  # fmt: skip
ENDPOINTS = ("bearer", "of-a-secret", "certificate")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a key pair and a password file."""
    authority = trustme.CA()
    issued = authority.issue_cert("client")
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    key = tmp_path / "key.pem"
    key.write_bytes(issued.private_key_pem.bytes())
    key.chmod(0o600)
    password = tmp_path / "rabbit.txt"
    password.write_text(SECRETS["RABBIT"] + "\n")
    password.chmod(0o600)
    return tmp_path


def documents(url: str, closed: int) -> str:
    encoded = base64.b64encode(b"CANARY-in-a-secret").decode()
    text = DOCUMENTS.format(url=url, closed=closed, encoded=encoded)
    transports = {"b": "embedded", "k": "kafka", "r1": "rabbit", "r2": "rabbit-url", "s": "sqs"}
    text += "".join(BROKER.format(name=name, transport=transport) for name, transport in transports.items())
    return text + "".join(TRIGGER.format(name=name) for name in ENDPOINTS)


def canaries(home: Path) -> list[bytes]:
    """Every secret as it is, and in base64; of the key a line from its middle."""
    plain = [value.encode() for name, value in SECRETS.items() if name != "RABBIT_URL"]
    plain += [value.encode() for value in HELD]
    plain.append((home / "key.pem").read_bytes().splitlines()[3])
    return plain + [base64.b64encode(value)[:-4] for value in plain]


def leaks(said: Mapping[str, bytes], home: Path) -> list[tuple[str, str]]:
    return [
        (where, canary.decode())
        for where, text in said.items()
        for canary in canaries(home)
        if canary in text
    ]


def command(*arguments: str, environment: Mapping[str, str]) -> bytes:
    ran = CliRunner().invoke(cli, arguments, env=dict(environment), prog_name="mesh-gateway")
    assert not isinstance(ran.exception, Exception) or isinstance(ran.exception, SystemExit), arguments
    return ran.output.encode()


async def test_no_secret_is_in_anything_a_gateway_writes_or_says(home: Path) -> None:
    closed = free_port()
    environment = {name: value.format(closed=closed) for name, value in SECRETS.items()}
    said: dict[str, bytes] = {}
    async with Subscriber(lambda request: Answer(400, {}, b"no")) as subscriber:
        gateway = GatewayProcess(documents(subscriber.url, closed), home, environment)
        gateway.options += ("--log-level", "debug")
        async with running(gateway, until_ready=False):
            async with asyncio.timeout(PATIENCE):
                while await asyncio.to_thread(post, f"{gateway.url}/default/b", b"{}", EVENT) != 202:
                    await asyncio.sleep(0.1)
            for name in ("k", "r1", "r2", "s"):
                assert await asyncio.to_thread(post, f"{gateway.url}/default/{name}", b"{}", EVENT) == 503
            stranger = {**EVENT, "authorization": "Bearer CANARY-producer"}
            assert await asyncio.to_thread(post, f"{gateway.url}/default/b", b"{}", stranger) == 401
            await subscriber.received(lambda some: len(some) >= 2)
            admin = ("--admin", f"http://127.0.0.1:{gateway.admin}", "--token", environment["ADMIN"])
            dead: list[object] = []
            async with asyncio.timeout(PATIENCE):
                while len(dead) < len(ENDPOINTS):
                    rows = await asyncio.to_thread(
                        command, "dlq", "list", "default/b", "-o", "json", *admin, environment={}
                    )
                    dead = json.loads(rows)
            for line in (
                ("status",), ("status", "-o", "json"), ("dlq", "list"), ("dlq", "show", "default/b", "1"), ("dlq", "redrive", "default/b"),
                ("list", "relays"),
            ):  # fmt: skip
                said[" ".join(line)] = await asyncio.to_thread(command, *line, *admin, environment={})
            for path in (
                "/metrics",
                "/api/v1/status",
                "/api/v1/transports",
                "/readyz?verbose",
                "/api/v1/dead-letters",
                "/version",
            ):
                said[path] = await asyncio.to_thread(fetched, gateway.admin, path, environment["ADMIN"])
                assert said[path].startswith(b"HTTP/1.1 ")
            for file in gateway.state.rglob("*"):
                if file.is_file():
                    said[str(file)] = file.read_bytes()
            assert await gateway.terminate() == 0
        said["log"] = gateway.log.read_bytes()
        received = {request.path: request.headers for request in subscriber.requests}

    for words in (
        ("lint",), ("lint", "-o", "json"), ("graph",), ("graph", "-o", "json"), ("list", "relays"), ("describe", "relay", "away"),
        *(("describe", "trigger", name) for name in ENDPOINTS), *(("describe", "transport", kind) for kind in ("kafka", "rabbitmq", "sqs")),
        ("lint", "--connect"),
    ):  # fmt: skip
        given = () if words[:2] == ("describe", "transport") else ("-f", str(gateway.file))
        said["offline " + " ".join(words)] = await asyncio.to_thread(
            command, *words, *given, environment=environment
        )

    # The secrets were in use, and the places that were looked into hold what they should.
    assert received["/bearer"]["authorization"] == f"Bearer {SECRETS['SUBSCRIBER']}"
    assert received["/bearer"]["x-api-key"] == SECRETS["HEADER"]
    assert received["/of-a-secret"]["authorization"] == "Bearer CANARY-in-a-secret"
    assert b'"id": "1"' in said["dlq show default/b 1"] or b"/s" in said["dlq show default/b 1"]
    assert sum(b"ce-" in text or b"SQLite" in text for text in said.values()) >= 1
    assert len(said["log"]) > 1_000
    assert leaks({"anywhere": b"..." + SECRETS["PEER"].encode()}, home) != []
    assert leaks(said, home) == []


def fetched(port: int, path: str, token: str) -> bytes:
    import http.client

    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    wire.request("GET", path, headers={"authorization": f"Bearer {token}"})
    answer = wire.getresponse()
    said = b"HTTP/1.1 %d\n" % answer.status + answer.read()
    wire.close()
    return said


# ── wrong documents ──────────────────────────────────────────────────────────────────────────

GATEWAY = "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\nspec: "
TRANSPORT = "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Transport\nmetadata: {name: t}\nspec: "
ENDPOINT = "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Endpoint\nmetadata: {name: e}\nspec: "
KNATIVE = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n---\n"
URLS = (
    "http://user:CANARY-x@host/", "http://CANARY-x@host/", "http://user:CANARY-x/y@host/", "http://user:CANARY-x", "http://user:CANARY-x?y@host",
    "http://user:CANARY-x#y@host/", "http://[CANARY-x@host/", "ftp://user:CANARY-x@host/", "user:CANARY-x@host", "//user:CANARY-x@host/",
    "http://user:CANARY-x@host:99999/", "http://user:CANARY-x@169.254.169.254/", "http:// user:CANARY-x@host/", "HTTP://user:CANARY-x@:80/",
    "display://user:CANARY-x@host/",
)  # fmt: skip


def wrong() -> Iterator[str]:
    for url in URLS:
        yield KNATIVE + (
            "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\n"
            f'spec: {{broker: b, subscriber: {{uri: "{url}"}}, delivery: {{deadLetterSink: {{uri: "{url}"}}}}}}\n'
        )
        yield ENDPOINT + f'{{url: "{url}"}}\n'
        yield GATEWAY + f'{{ingress: {{url: "{url}"}}, resolve: "{url}{{name}}"}}\n'
        yield KNATIVE + (
            f'apiVersion: mesh-gateway.dev/v1alpha1\nkind: Relay\nmetadata: {{name: r}}\nspec: {{from: b, to: {{uri: "{url}"}}}}\n'
        )
        yield TRANSPORT + f'{{kind: rabbitmq, options: {{url: "{url}"}}}}\n'
        yield TRANSPORT + f'{{kind: sqs, options: {{endpoint: "{url}", region: [x]}}}}\n'
        yield TRANSPORT + f'{{kind: kafka, options: {{bootstrapServers: "{url}", partitions: x}}}}\n'
    for value in (
        "CANARY-x",
        "[CANARY-x]",
        "{value: CANARY-x}",
        "{valueFrom: CANARY-x}",
        "{valueFrom: {env: MISSING, x: CANARY-x}}",
        "12",
    ):
        yield GATEWAY + f"{{admin: {{token: {value}}}, peers: [{{cluster: c, bearer: {value}}}]}}\n"
        yield ENDPOINT + f'{{url: "http://x/", auth: {{bearer: {value}}}}}\n'
        yield (
            TRANSPORT
            + f"{{kind: kafka, options: {{bootstrapServers: x, sasl: {{username: u, password: {value}, x: y}}}}}}\n"
        )
        yield TRANSPORT + f"{{kind: rabbitmq, options: {{password: {value}, url: {value}}}}}\n"
    held = "{valueFrom: {env: HELD}}"
    yield TRANSPORT + f"{{kind: rabbitmq, options: {{url: {held}, prefix: {held}, prefetch: {held}}}}}\n"
    yield (
        TRANSPORT
        + f"{{kind: kafka, options: {{bootstrapServers: {held}, topic: {held}, sasl: {{username: u, password: {held}, mechanism: {held}}}}}}}\n"
    )
    yield TRANSPORT + f"{{kind: sqs, options: {{endpoint: {held}, prefix: {held}, region: {held}}}}}\n"
    yield (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: 'CANARY-x!!'}\n---\n"
        + ENDPOINT
        + ('{url: "http://x/", auth: {bearer: {valueFrom: {secretKeyRef: {name: s, key: k}}}}}\n')
    )
    yield (
        ENDPOINT
        + '{url: "http://x/", headers: {x-key: "CANARY-x\\r\\ny", "bad name": CANARY-x, host: CANARY-x}}\n'
    )
    yield (
        ENDPOINT
        + '{url: "http://x/", caCerts: {inline: CANARY-x}, auth: {clientCertificate: {certificate: a, key: b}}}\n'
    )


def test_no_message_about_a_wrong_document_holds_what_may_be_a_secret(tmp_path: Path) -> None:
    leaking = []
    for number, text in enumerate(wrong()):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        for line in (("lint", "-o", "json"), ("graph",)):
            said = command(*line, "-f", str(file), environment={"HELD": "CANARY-held"})
            if b"CANARY" in said:
                leaking.append((text, said))
    assert leaking == []
