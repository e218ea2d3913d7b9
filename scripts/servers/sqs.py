"""ElasticMQ: an SQS server. It keeps everything in memory; a restart loses its queues."""

from __future__ import annotations

import urllib.error
import urllib.request

from servers import maven, node
from servers.home import port
from servers.node import Node

VERSION = "1.7.1"
ARTIFACTS = (f"org.elasticmq:elasticmq-server_2.13:{VERSION}",)

LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %level %logger %msg%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="out"/></root></configuration>
"""


def nodes() -> list[Node]:
    """The one server."""
    library = maven.jars(f"elasticmq-{VERSION}", ARTIFACTS)
    folder = node.data("sqs")
    command = [
        "java", "-Xmx192m", "-XX:+UseSerialGC", f"-Dconfig.file={folder / 'elasticmq.conf'}",
        f"-Dlogback.configurationFile={folder / 'logback.xml'}", "-cp", f"{library}/*", "org.elasticmq.server.Main",
    ]  # fmt: skip
    return [Node("sqs", command, [port(9324)], _answers)]


def prepare() -> None:
    """Write its configuration."""
    folder = node.data("sqs")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "logback.xml").write_text(LOGBACK)
    (folder / "elasticmq.conf").write_text(
        'include classpath("application.conf")\n'
        f'node-address {{ protocol = http, host = "127.0.0.1", port = {port(9324)}, context-path = "" }}\n'
        f'rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port(9324)}, sqs-limits = strict }}\n'
        "rest-stats { enabled = false }\n"
        'aws { region = us-east-1, accountId = "000000000000" }\n'
        "queues {}\n"
    )


def environment() -> dict[str, str]:
    """What tests have to know; the keys are checked by nobody."""
    return {
        "MESH_TEST_SQS": f"http://127.0.0.1:{port(9324)}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port(9324)}/?Action=ListQueues", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
