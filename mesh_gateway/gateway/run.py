"""From documents to an exit code: the settings of the process, its event loop, and the gateway in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

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
) -> int:
    """Run one gateway until it is told to stop; the process's exit code. Call it once, in the main thread."""
    logs.configure("warning" if dev and log_level == "info" else log_level)
    documents = within_limits(documents)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(GatewayProcess(documents, plugins, announce or _log_ready).run())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A loop of uvloop where it is installed; the standard loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _log_ready(facts: dict[str, Any]) -> None:
    log.info("ready", **{key: value for key, value in facts.items() if key != "event"})
