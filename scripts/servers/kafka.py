"""Kafka in KRaft mode: one node (`kafka`), or three (`kafka3-1` … `kafka3-3`).

The single node also listens with SASL, with TLS, and on a port whose advertised address is another one, where
a test puts a proxy: Kafka's clients go where the server says it is, not where they were told to begin.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from servers import maven, node
from servers.home import ServiceError, port, tls_files
from servers.node import Node

VERSION = "4.4.0"
ARTIFACTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5")

USERS = {"mesh": "mesh-secret", "nobody": "nobody-secret", "writer": "writer-secret"}
"""Of the SASL listener: `mesh` may do everything, the others nothing until a test gives them an ACL."""

LOG4J = """<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def nodes(count: int) -> list[Node]:
    """One combined node, or a cluster of three."""
    library = maven.jars(f"kafka-{VERSION}", ARTIFACTS)
    if count == 1:
        return [_node("kafka", library, [port(n) for n in (9092, 9093, 9094, 9095, 9096)], 1)]
    return [_node(f"kafka3-{n}", library, [port(9092 + 100 * n), port(9093 + 100 * n)], 3) for n in (1, 2, 3)]


def prepare(count: int) -> None:
    """Write configurations, and format storage that is new."""
    library = maven.jars(f"kafka-{VERSION}", ARTIFACTS)
    if count == 1:
        _write("kafka", _single())
        _format(library, "kafka", _cluster_id("kafka"), ["--standalone", *_scram()])
        return
    names = [f"kafka3-{n}" for n in (1, 2, 3)]
    voters = ",".join(
        f"{n}@127.0.0.1:{port(9093 + 100 * n)}:{_identifier(node.data(name) / 'directory.id')}"
        for n, name in enumerate(names, 1)
    )
    for n, name in enumerate(names, 1):
        _write(name, _of_three(n))
        _format(library, name, _cluster_id("kafka3-1"), ["--initial-controllers", voters])


def environment(count: int) -> dict[str, str]:
    """What tests have to know."""
    if count == 3:
        return {"MESH_TEST_KAFKA3": ",".join(f"127.0.0.1:{port(9092 + 100 * n)}" for n in (1, 2, 3))}
    return {
        "MESH_TEST_KAFKA": f"127.0.0.1:{port(9092)}",
        "MESH_TEST_KAFKA_SASL": f"127.0.0.1:{port(9094)}",
        "MESH_TEST_KAFKA_TLS": f"127.0.0.1:{port(9095)}",
        # listens on, and says it is at (where a test's proxy listens)
        "MESH_TEST_KAFKA_PROXIED": f"127.0.0.1:{port(9096)},127.0.0.1:{port(9097)}",
        "MESH_TEST_CA": str(tls_files()[0]),
    }


def _node(name: str, library: Path, ports: list[int], cluster: int) -> Node:
    folder = node.data(name)
    command = [
        "java", "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}",
        "-cp", f"{library}/*", "kafka.Kafka", str(folder / "server.properties"),
    ]  # fmt: skip
    return Node(name, command, ports, lambda: brokers_seen(ports[0]) == cluster)


def brokers_seen(number: int) -> int:
    """How many brokers the one at this port knows of: a Metadata v1 request, made by hand."""
    request = struct.pack(">hhih", 3, 1, 1, 4) + b"mesh" + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", number), 2) as door:
            door.settimeout(2)
            door.sendall(struct.pack(">i", len(request)) + request)
            answer = door.makefile("rb")
            (length,) = struct.unpack(">i", answer.read(4))
            body = answer.read(length)
        return int(struct.unpack_from(">i", body, 4)[0])
    except (OSError, struct.error):
        return 0


# auto.create.topics.enable is on, as by Kafka's own default: a transport that makes topics by asking is to be found out.
COMMON = """process.roles=broker,controller
controller.listener.names=CONTROLLER
auto.create.topics.enable=true
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
offsets.topic.num.partitions=5
transaction.state.log.num.partitions=5
share.coordinator.state.topic.num.partitions=5
"""


def _single() -> str:
    _, certificate, key = tls_files()
    pair = certificate.parent / "kafka.pem"
    pair.write_text(key.read_text() + certificate.read_text())
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    listeners = ",".join(
        f"{name}://127.0.0.1:{port(number)}"
        for name, number in (
            ("PLAINTEXT", 9092),
            ("CONTROLLER", 9093),
            ("SASL", 9094),
            ("TLS", 9095),
            ("PROXIED", 9096),
        )
    )
    module = "org.apache.kafka.common.security"
    return f"""{COMMON}node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{port(9093)}
listeners={listeners}
advertised.listeners={listeners.replace(str(port(9096)), str(port(9097)))}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required {users};
listener.name.sasl.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={pair}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:mesh
log.dirs={node.data("kafka") / "log"}
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


def _of_three(n: int) -> str:
    voters = ",".join(f"127.0.0.1:{port(9093 + 100 * m)}" for m in (1, 2, 3))
    listeners = f"PLAINTEXT://127.0.0.1:{port(9092 + 100 * n)},CONTROLLER://127.0.0.1:{port(9093 + 100 * n)}"
    return f"""{COMMON}node.id={n}
controller.quorum.bootstrap.servers={voters}
listeners={listeners}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={node.data(f"kafka3-{n}") / "log"}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
"""


def _scram() -> list[str]:
    words = []
    for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        for name, password in USERS.items():
            words += ["--add-scram", f"{kind}=[name={name},password={password}]"]
    return words


def _write(name: str, properties: str) -> None:
    folder = node.data(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.properties").write_text(properties)
    (folder / "log4j2.xml").write_text(LOG4J)


def _format(library: Path, name: str, cluster: str, words: list[str]) -> None:
    folder = node.data(name)
    if (folder / "log" / "meta.properties").exists():
        return
    shutil.rmtree(folder / "log", ignore_errors=True)
    done = subprocess.run(
        ["java", f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}", "-cp", f"{library}/*", "kafka.tools.StorageTool",
         "format", "-t", cluster, "-c", str(folder / "server.properties"), *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ServiceError(f"{name}: storage could not be formatted:\n{(done.stdout + done.stderr)[-3000:]}")


def _cluster_id(name: str) -> str:
    return _identifier(node.data(name) / "cluster.id")


def _identifier(path: Path) -> str:
    """A random id in Kafka's form, kept in this file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "-"
        while text.startswith("-"):
            text = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        path.write_text(text)
    return path.read_text()
