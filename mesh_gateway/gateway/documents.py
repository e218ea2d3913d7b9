"""The documents of a process: what it serves, how it is read again, and what the system grants for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from mesh_gateway.gateway import descriptors
from mesh_gateway.gateway.reload import CannotReload, Load
from mesh_gateway.gateway.signals import Hangups
from mesh_gateway.topology.spec import GatewaySpec


@dataclass(frozen=True, slots=True)
class Documents:
    """What a process serves, and how it is read again."""

    spec: GatewaySpec
    load: Load
    changes: Callable[[], AsyncIterator[None]] | None = None
    """Something each time that the files have changed; None when they are not watched."""
    options: frozenset[str] = frozenset()
    """What was given on the command line and is laid over the files at each reading: `--ingress`, `--admin`, `--state`,
    `dev`; and `open files` where there are too few of them for what the files say."""
    hangups: Hangups | None = None
    """Those since before the documents were read."""


def nothing_to_read() -> GatewaySpec:
    """The `load` of a gateway without files."""
    raise CannotReload("this gateway serves no files that could be read again")


def within_limits(documents: Documents) -> Documents:
    """The same, for as many open files as the system grants, at each reading."""
    limit = descriptors.raise_limit()

    def load() -> GatewaySpec:
        return descriptors.within(documents.load(), limit)

    spec = descriptors.within(documents.spec, limit)
    options = documents.options | ({"open files"} if spec != documents.spec else set())
    return replace(documents, spec=spec, load=load, options=options)
