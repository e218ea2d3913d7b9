"""Addresses to listen at, and what is said when one cannot be had."""

from __future__ import annotations

import os

from mesh_gateway.errors import MeshError
from mesh_gateway.topology.spec import AdminSpec, IngressSpec


class CannotListen(MeshError):
    """A listener cannot be opened; says why and what to do."""


def address_of(spec: IngressSpec | AdminSpec) -> tuple[str, int]:
    """Where it listens."""
    return spec.host, spec.port


def cannot_listen(host: str, port: int, option: str, error: OSError) -> str:
    """The cause and the way out."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot listen on {host}:{port}: {reason}; choose another address with {option} HOST:PORT"


def shown(host: str) -> str:
    """The host as part of a URL that works on this machine."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
