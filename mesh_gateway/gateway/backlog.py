"""What waits on the brokers, asked of their transports: for `status`, and for a scrape of the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.errors import TransportError
from mesh_gateway.federation.relay import Relay
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import RELAY, BrokerParts
from mesh_gateway.transport.contract import OPERATORS, SHARED, Backlog, Measurable, Purpose

SCRAPE_SECONDS = 4.0
"""For all questions of one scrape; Prometheus gives it ten by default. What is not told by then is left out."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one group of one channel has not settled. `group` of a parked channel is its trigger or relay."""

    broker: str
    purpose: Purpose
    group: str
    backlog: Backlog


async def parked(trigger: Trigger | Relay, home: BrokerParts) -> Backlog | None:
    """What waits in its parked channel; None where the transport cannot tell."""
    return await _asked(home.link, trigger.parking.channel.name, SHARED)


async def unsent(relay: Relay, home: BrokerParts) -> Backlog | None:
    """What a relay has not sent yet, redriven letters included; None where the transport cannot tell."""
    if relay.group is None:
        return await parked(relay, home)
    unread = _asked(home.link, relay.channel.name, relay.group)
    found = await asyncio.gather(unread, parked(relay, home))
    known = [one for one in found if one is not None]
    if not known:
        return None
    ages = [one.oldest_age for one in known if one.oldest_age is not None]
    return Backlog(sum(one.events for one in known), max(ages, default=None))


async def dead_letters(home: BrokerParts) -> Backlog | None:
    """The dead letters that the broker keeps; None where the transport cannot tell."""
    return await _asked(home.link, home.dead_letters.name, OPERATORS)


async def everything(mesh: Mesh) -> list[Waiting]:
    """All that can be told within `SCRAPE_SECONDS`. Cancelling it ends every question."""
    questions = [question for home in mesh.homes() for question in _questions(home)]
    return [told for told in await asyncio.gather(*questions) if told is not None]


def _questions(home: BrokerParts) -> Iterator[Awaitable[Waiting | None]]:
    key = home.spec.key
    for reader in home.readers:
        asked = _asked(home.link, reader.channel.name, reader.group)
        yield _in_time(key, Purpose.EVENTS, reader.group, asked)
    for trigger in home.triggers:
        yield _in_time(key, Purpose.PARKED, trigger.key, parked(trigger, home))
    for relay in home.relays:
        if relay.group is not None:
            unread = _asked(home.link, relay.channel.name, relay.group)
            yield _in_time(key, Purpose.EVENTS, relay.group, unread)
        yield _in_time(key, Purpose.PARKED, RELAY + relay.key, parked(relay, home))
    yield _in_time(key, Purpose.DEAD_LETTERS, OPERATORS, dead_letters(home))


async def _in_time(
    broker: str, purpose: Purpose, group: str, question: Awaitable[Backlog | None]
) -> Waiting | None:
    try:
        async with asyncio.timeout(SCRAPE_SECONDS):
            backlog = await question
    except TimeoutError:
        return None
    return None if backlog is None else Waiting(broker, purpose, group, backlog)


async def _asked(link: Link, channel: str, group: str) -> Backlog | None:
    if not link.up.is_set() or not isinstance(link.transport, Measurable):
        return None
    try:
        return await link.transport.backlog(channel, group)
    except TransportError:
        return None
