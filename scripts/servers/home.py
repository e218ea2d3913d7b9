"""Where the servers' programs, data and logs lie, and which ports they take."""

from __future__ import annotations

import os
import socket
from pathlib import Path


class ServiceError(Exception):
    """What went wrong, as a sentence for whoever called `scripts/services`."""


def home() -> Path:
    """The folder that holds everything; `MESH_SERVICES_HOME` moves it."""
    given = os.environ.get("MESH_SERVICES_HOME")
    folder = Path(given) if given else Path.home() / ".cache" / "mesh-services"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def programs() -> Path:
    """Where fetched programs lie: shared by all sets of servers of this user."""
    given = os.environ.get("MESH_SERVICES_PROGRAMS")
    folder = Path(given) if given else Path.home() / ".cache" / "mesh-services" / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def port(number: int) -> int:
    """The port, moved by `MESH_PORT_OFFSET` so that a second set can run beside the first."""
    return number + int(os.environ.get("MESH_PORT_OFFSET", "0"))


def refuse_if_taken(name: str, number: int) -> None:
    """Raises `ServiceError` when somebody else listens there."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", number))
        except OSError as error:
            raise ServiceError(
                f"{name}: port {number} is taken by something that this script did not start; "
                "stop it, or set MESH_PORT_OFFSET and a MESH_SERVICES_HOME of its own"
            ) from error


def tls_files() -> tuple[Path, Path, Path]:
    """An authority, a certificate for localhost and its key (PEM), made once by openssl."""
    import subprocess

    folder = home() / "tls"
    authority, certificate, key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    if certificate.exists():
        return authority, certificate, key
    folder.mkdir(exist_ok=True)
    config = folder / "openssl.cnf"
    config.write_text(
        "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=localhost\n"
        "[server]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
        "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
    )

    def openssl(*words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError(f"openssl {words[0]} failed: {done.stderr.strip()}")

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-config", "openssl.cnf",
            "-extensions", "ca", "-subj", "/CN=mesh-services", "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-config", "openssl.cnf",
            "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "3650", "-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.new")  # fmt: skip
    (folder / "server.new").replace(certificate)
    return authority, certificate, key
