"""The Gateway document as the spec's listeners, limits and directories."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh_gateway.topology.documents import AdminDoc, GatewayDoc, IngressDoc, SecretValue
from mesh_gateway.topology.read import Read, Reporter
from mesh_gateway.topology.spec import AdminSpec, GatewaySpec, IngressSpec, Secret, TLSServerSpec
from mesh_gateway.topology.yaml import Path as FieldPath
from mesh_gateway.transport import durations

ReadSecret = Callable[[SecretValue, FieldPath], Secret | None]


def spec(one: Read, reporter: Reporter, secret: ReadSecret) -> GatewaySpec:
    """Everything but transports, brokers and triggers."""
    assert isinstance(one.model, GatewayDoc)
    document = one.model.spec
    if document.peers is not None:
        reporter.at(one.document, "MG204", ("spec", "peers"), "this version has no relays; remove the peers")
    return GatewaySpec(
        name=one.model.metadata.name,
        cluster=document.cluster or "local",
        ingress=_ingress(one, document.ingress, reporter),
        admin=_admin(one, document.admin, reporter, secret),
        state_directory=Path(
            document.state.directory if document.state and document.state.directory else "state"
        ),
        drain_timeout=durations.seconds(document.drain_timeout) if document.drain_timeout else 25.0,
    )


def _ingress(one: Read, document: IngressDoc | None, reporter: Reporter) -> IngressSpec:
    if document is None:
        return IngressSpec()
    given: dict[str, Any] = {}
    for name in type(document).model_fields:
        value = getattr(document, name)
        if value is None or name in ("listen", "tls"):
            continue
        given[name] = durations.seconds(value) if name.endswith("_timeout") else value
    if document.listen is not None:
        given["host"], given["port"] = _listen(
            one, document.listen, ("spec", "ingress", "listen"), reporter, 8080
        )
    if document.tls is not None:
        given["tls"] = TLSServerSpec(one.folder / document.tls.certificate, one.folder / document.tls.key)
        for name, path in (("certificate", given["tls"].certificate), ("key", given["tls"].key)):
            if not path.is_file():
                reporter.at(one.document, "MG026", ("spec", "ingress", "tls", name), f"{path} is not a file")
    return IngressSpec(**given)


def _admin(one: Read, document: AdminDoc | None, reporter: Reporter, secret: ReadSecret) -> AdminSpec:
    if document is None:
        return AdminSpec()
    path: FieldPath = ("spec", "admin", "listen")
    host, port = "127.0.0.1", 8081
    if document.listen is not None:
        host, port = _listen(one, document.listen, path, reporter, 8081)
    token = None if document.token is None else secret(document.token, ("spec", "admin", "token"))
    if document.token is None and not is_loopback(host):
        reporter.at(
            one.document,
            "MG050",
            path,
            f"{host} is not loopback: set spec.admin.token, or listen on 127.0.0.1",
        )
    return AdminSpec(host, port, token)


def _listen(one: Read, text: str, path: FieldPath, reporter: Reporter, default: int) -> tuple[str, int]:
    try:
        return listen_address(text)
    except ValueError as error:
        reporter.at(one.document, "MG010", path, str(error))
        return "127.0.0.1", default


def listen_address(text: str) -> tuple[str, int]:
    """(host, port) of `HOST:PORT` or `[IPV6]:PORT`. Raises `ValueError` with a sentence."""
    host, separator, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        separator = ""
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
