"""From documents to an exit code: the settings of the process, its event loop, and the gateway in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from mesh_gateway.errors import StoreDamaged
from mesh_gateway.gateway import logs
from mesh_gateway.gateway.documents import Documents, within_limits
from mesh_gateway.gateway.process import Announce, GatewayProcess
from mesh_gateway.transport.plugins import Plugins

log = structlog.get_logger("mesh_gateway")


def serve(
    documents: Documents,
    plugins: Plugins,
    *,
    dev: bool = False,
    log_level: str = "info",
    announce: Announce | None = None,
    workers: int = 1,
) -> int:
    """Run one gateway until it is told to stop; the process's exit code. Call it once, in the main thread.

    In this process; in `workers` of its own if more than one is asked for, or if one that is no more has left events behind.
    """
    level = "warning" if dev and log_level == "info" else log_level
    logs.configure(level)
    said = announce or _log_ready
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if workers > 1 or _there_were_more(documents.spec.state_directory):
            from mesh_gateway.gateway.workers.group import Group

            return runner.run(Group(documents, plugins, said, workers, level).run())
        return runner.run(GatewayProcess(within_limits(documents), plugins, said).run())


def _there_were_more(state: Path | None) -> bool:
    """Whether more workers served this state the last time; what they have left is for a group to find out."""
    if state is None:
        return False
    from mesh_gateway.gateway.workers import stores

    try:
        return stores.number_before(state) > 1 or bool(stores.left_over(state, 1))
    except StoreDamaged:
        return True  # which the group refuses in words


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A loop of uvloop where it is installed; the standard loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _log_ready(facts: dict[str, Any]) -> None:
    log.info("ready", **{key: value for key, value in facts.items() if key != "event"})
