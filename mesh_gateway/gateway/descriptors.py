"""File descriptors of this process: as many as the system grants, and a share of them for those who send.

Most systems start a process with 1,024 and would grant hundreds of thousands. A listener that used up the last one could not
even refuse the next client, and the gateway could neither deliver nor open its files.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import replace

import structlog

from mesh_gateway.topology.spec import GatewaySpec

log = structlog.get_logger("mesh_gateway")

ENOUGH = 65_536
"""Asked for, and no more: six times the default of `maxConnections`, and what subscribers and brokers need besides."""

SHARE = 0.75
"""Of the descriptors may be connections of producers; the others are for subscribers (64 a Trigger), brokers, files."""


def raise_limit() -> int:
    """Raise the soft limit towards the hard one; the descriptors that there are then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _number(hard)
    wanted = min(most, max(_number(soft), ENOUGH))
    if wanted > _number(soft):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return _number(soft)  # a sandbox that says otherwise than its limits; what there is must do
    return wanted


def within(spec: GatewaySpec, descriptors: int) -> GatewaySpec:
    """The same with as many connections at the ingress as there is room for; fewer than were asked for are logged."""
    wanted, room = spec.ingress.max_connections, int(descriptors * SHARE)
    if wanted <= room:
        return spec
    log.warning(
        "fewer connections than maxConnections: the system grants too few open files",
        connections=room, max_connections=wanted, open_files=descriptors, way_out="raise the hard limit (ulimit -Hn, LimitNOFILE)",
    )  # fmt: skip
    return replace(spec, ingress=replace(spec.ingress, max_connections=room))


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
