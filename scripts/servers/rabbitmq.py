"""RabbitMQ 4 out of Debian 13's packages: one node (`rabbitmq`), or three (`rabbitmq3-1` … `rabbitmq3-3`)."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from servers import debian, node
from servers.home import ServiceError, home, port, tls_files
from servers.node import Node

SUITE = "trixie"
ERLANG = "base asn1 crypto public-key mnesia runtime-tools ssl eldap inets os-mon parsetools syntax-tools tools xmerl"
LIBRARIES = "libc6 libgcc-s1 libstdc++6 libtinfo6 zlib1g libsystemd0 libcap2 libzstd1 libssl3t64 patchelf"
PACKAGES = ["rabbitmq-server", *(f"erlang-{part}" for part in ERLANG.split()), *LIBRARIES.split()]
EPMD = 14369
"""Not Erlang's own 4369: keeps away from any other Erlang on this machine."""


def nodes(count: int) -> list[Node]:
    """One node, or a cluster of three."""
    return [_node(name, base) for name, base in _names(count)]


def prepare(count: int) -> None:
    """Fetch it, write configurations, and run the port mapper that Erlang's nodes find each other by."""
    root = _root()
    for name, base in _names(count):
        folder = node.data(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rabbitmq.conf").write_text(_configuration(base, count))
        (folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_stream].\n")
    _cookie()
    mapper = Node(
        "epmd",
        [str(_erlang(root) / "bin" / "epmd"), "-port", str(port(EPMD)), "-address", "127.0.0.1"],
        [port(EPMD)],
        lambda: _listens(port(EPMD)),
    )
    node.start(mapper)
    node.wait_until_ready(mapper)


def environment(count: int) -> dict[str, str]:
    """What tests have to know."""
    bases = [base for _, base in _names(count)]
    suffix = "" if count == 1 else "3"
    urls = ",".join(f"amqp://guest:guest@127.0.0.1:{port(5672 + base)}/" for base in bases)
    apis = ",".join(f"http://127.0.0.1:{port(15672 + base)}" for base in bases)
    found = {f"MESH_TEST_RABBITMQ{suffix}": urls, f"MESH_TEST_RABBITMQ{suffix}_API": apis}
    if count == 1:
        found["MESH_TEST_RABBITMQ_TLS"] = f"amqps://guest:guest@localhost:{port(5671)}/"
        found["MESH_TEST_CA"] = str(tls_files()[0])
    return found


def rabbitmqctl(name: str, words: list[str]) -> int:
    """Run `rabbitmqctl` against this node, on our terminal; its exit code."""
    done = subprocess.run(
        [str(_server(_root()) / "sbin" / "rabbitmqctl"), "-n", f"{name}@localhost", *words],
        env={**os.environ, **_environment(name, dict(_names(1) + _names(3))[name])},
        check=False,
    )
    return done.returncode


def _names(count: int) -> list[tuple[str, int]]:
    """Names, and what is added to every port."""
    return [("rabbitmq", 0)] if count == 1 else [(f"rabbitmq3-{n}", 100 * n) for n in (1, 2, 3)]


def _root() -> Path:
    root = debian.unpacked("rabbitmq-4", SUITE, PACKAGES)
    ready = root.parent / "relocated"
    if not ready.exists():
        debian.relocate("rabbitmq", root, _erlang(root), "/usr/lib/erlang")
        ready.touch()
    return root


def _erlang(root: Path) -> Path:
    return root / "usr/lib/erlang"


def _server(root: Path) -> Path:
    found = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    if not found:
        raise ServiceError("rabbitmq: the unpacked packages hold no server")
    return found[-1]


def _node(name: str, base: int) -> Node:
    return Node(
        name,
        [str(_server(_root()) / "sbin" / "rabbitmq-server")],
        [port(5672 + base), port(15672 + base), port(25672 + base)],
        lambda: _speaks(port(5672 + base)) and _all_running(port(15672 + base)),
        _environment(name, base),
    )


def _environment(name: str, base: int) -> dict[str, str]:
    root, folder = _root(), node.data(name)
    bin = _erlang(root) / "bin"
    return {
        "PATH": f"{bin}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "HOME": str(_cookie().parent),
        "LANG": "C.UTF-8",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": f"{name}@localhost",
        "RABBITMQ_DIST_PORT": str(port(25672 + base)),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_PLUGINS_DIR": str(_server(root) / "plugins"),
        "ERL_EPMD_PORT": str(port(EPMD)),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
        # Makes the script exec the Erlang VM: the pid is the server's, and SIGTERM stops it cleanly.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _configuration(base: int, count: int) -> str:
    authority, certificate, key = tls_files()
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{port(5672 + base)}",
        "management.tcp.ip = 127.0.0.1",
        f"management.tcp.port = {port(15672 + base)}",
        f"stream.listeners.tcp.1 = 127.0.0.1:{port(5552 + base)}",
        "log.console = true",
        "log.console.level = warning",
        "log.file = false",
        "vm_memory_high_watermark.absolute = 1GB",
        "disk_free_limit.absolute = 50MB",
        "queue_leader_locator = balanced",
    ]
    if count == 1:
        lines += [
            f"listeners.ssl.1 = 127.0.0.1:{port(5671)}",
            f"ssl_options.cacertfile = {authority}",
            f"ssl_options.certfile = {certificate}",
            f"ssl_options.keyfile = {key}",
            "ssl_options.verify = verify_none",
        ]
    else:
        lines += ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += [f"cluster_formation.classic_config.nodes.{n} = rabbitmq3-{n}@localhost" for n in (1, 2, 3)]
        lines += ["cluster_partition_handling = pause_minority"]
    return "\n".join(lines) + "\n"


def _cookie() -> Path:
    """The secret that Erlang's nodes know each other by: one for all."""
    path = home() / "erlang" / ".erlang.cookie"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(base64.b32encode(os.urandom(15)).decode())
        path.chmod(0o400)
    return path


def _listens(number: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", number), 1).close()
    except OSError:
        return False
    return True


def _speaks(number: int) -> bool:
    """An AMQP header is answered by a method frame."""
    try:
        with socket.create_connection(("127.0.0.1", number), 2) as door:
            door.settimeout(2)
            door.sendall(b"AMQP\x00\x00\x09\x01")
            return door.recv(1) == b"\x01"
    except OSError:
        return False


def _all_running(number: int) -> bool:
    request = urllib.request.Request(
        f"http://127.0.0.1:{number}/api/nodes",
        headers={"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return bool(found) and all(one["running"] for one in found)


def stop_mapper_if_alone() -> None:
    """Stop the port mapper once no node of ours needs it."""
    if not any(node.running(name) for name, _ in _names(1) + _names(3)):
        node.stop(["epmd"], 2)
