"""Redis out of this machine's own Debian packages, unpacked: for examples/03-own-transport. Every write is synced."""

from __future__ import annotations

import socket
from pathlib import Path

from servers import debian, node
from servers.home import port
from servers.node import Node

PACKAGES = [
    "redis-server",
    "redis-tools",
    "liblua5.1-0",
    "libjemalloc2",
    "liblzf1",
    "lua-bitop",
    "lua-cjson",
    "libhiredis0.14",
    "libatomic1",
    "libssl3",
]
SUITE = "bookworm"


def nodes() -> list[Node]:
    """The one server."""
    root = debian.unpacked("redis-7", SUITE, PACKAGES)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    command = [str(root / "usr/bin/redis-server"), str(node.data("redis") / "redis.conf")]
    return [Node("redis", command, [port(6379)], _answers, {"LD_LIBRARY_PATH": str(libraries)})]


def prepare() -> None:
    """Write its configuration."""
    folder: Path = node.data("redis")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "redis.conf").write_text(
        f"bind 127.0.0.1\nport {port(6379)}\ndir {folder}\nappendonly yes\nappendfsync always\nsave ''\ndaemonize no\n"
    )


def environment() -> dict[str, str]:
    """What tests have to know."""
    return {"MESH_TEST_REDIS": f"redis://127.0.0.1:{port(6379)}/0"}


def _answers() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port(6379)), 2) as door:
            door.settimeout(2)
            door.sendall(b"PING\r\n")
            return door.recv(5) == b"+PONG"
    except OSError:
        return False
