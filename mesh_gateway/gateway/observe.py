"""Telling plugins' observers what has happened, in batches: once a second, never per event."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from mesh_gateway.gateway.mesh import Mesh

log = structlog.get_logger("mesh_gateway.observe")

INTERVAL = 1.0


def totals(mesh: Mesh) -> dict[str, int]:
    """Counts since the start: `accepted NS/BROKER`, and per trigger `delivered NS/TRIGGER` and its like."""
    counts: dict[str, int] = {}
    for home in mesh.homes():
        counts[f"accepted {home.spec.key}"] = home.broker.counters.accepted
        for trigger in home.triggers:
            counters = trigger.counters
            counts[f"matched {trigger.key}"] = counters.matched
            counts[f"delivered {trigger.key}"] = counters.delivered
            counts[f"retried {trigger.key}"] = counters.retried
            counts[f"parked {trigger.key}"] = counters.parked
            counts[f"dead-lettered {trigger.key}"] = counters.dead_lettered + counters.stored_dead_letters
    return counts


def changes(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """What has been added since `before`. What has become less was removed and added again, and began at zero."""
    added = {name: count - before.get(name, 0) for name, count in now.items()}
    return {name: new if new > 0 else now[name] for name, new in added.items() if new}


class Observers:
    """Calls `observe(counts)` of every observer with what is new. `run` has one owner."""

    def __init__(self, observers: Sequence[Any], mesh: Mesh) -> None:
        self._observers = list(observers)
        self._mesh = mesh
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """Once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.tell()

    def tell(self) -> None:
        """Tell what is new since the last time. An observer that raises is not asked again."""
        now = totals(self._mesh)
        new = changes(self._told, now)
        self._told = now
        if not new:
            return
        for observer in list(self._observers):
            try:
                observer.observe(new)
            except Exception as error:  # noqa: BLE001  # a plugin's code; isolated, told once
                self._observers.remove(observer)
                log.error(
                    "an observer failed and is not called again", observer=repr(observer), reason=str(error)
                )
