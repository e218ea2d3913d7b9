"""What waits on the brokers, asked of their transports: for `status`, and for a scrape of the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.errors import TransportError
from mesh_gateway.gateway.assembly import BrokerParts
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.transport.contract import OPERATORS, SHARED, Backlog, Measurable, Purpose

SCRAPE_SECONDS = 4.0
"""For all questions of one scrape; Prometheus gives it ten by default. What is not told by then is left out."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one group of one channel has not settled. `group` of a parked channel is its trigger."""

    broker: str
    purpose: Purpose
    group: str
    backlog: Backlog


async def parked(trigger: Trigger, home: BrokerParts) -> Backlog | None:
    """What waits in its parked channel; None where the transport cannot tell."""
    return await _asked(home.link, trigger.parking.channel.name, SHARED)


async def dead_letters(home: BrokerParts) -> Backlog | None:
    """The dead letters that the broker keeps; None where the transport cannot tell."""
    return await _asked(home.link, home.dead_letters.name, OPERATORS)


async def everything(mesh: Mesh) -> list[Waiting]:
    """All that can be told within `SCRAPE_SECONDS`."""
    tasks = {asyncio.create_task(question): about for about, question in _questions(mesh)}
    if not tasks:
        return []
    _, late = await asyncio.wait(tasks, timeout=SCRAPE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    told = [(about, task.result()) for task, about in tasks.items() if task not in late]
    return [Waiting(*about, backlog) for about, backlog in told if backlog is not None]


def _questions(
    mesh: Mesh,
) -> list[tuple[tuple[str, Purpose, str], Coroutine[Any, Any, Backlog | None]]]:
    found: list[tuple[tuple[str, Purpose, str], Coroutine[Any, Any, Backlog | None]]] = []
    for home in mesh.homes():
        key = home.spec.key
        found += [
            ((key, Purpose.EVENTS, reader.group), _asked(home.link, reader.channel.name, reader.group))
            for reader in home.readers
        ]
        found += [((key, Purpose.PARKED, one.key), parked(one, home)) for one in home.triggers]
        found.append(((key, Purpose.DEAD_LETTERS, OPERATORS), dead_letters(home)))
    return found


async def _asked(link: Link, channel: str, group: str) -> Backlog | None:
    if not link.up.is_set() or not isinstance(link.transport, Measurable):
        return None
    try:
        return await link.transport.backlog(channel, group)
    except TransportError:
        return None
