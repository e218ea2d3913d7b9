"""What waits on the brokers, asked of their transports: for `status`, and for a scrape of the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.errors import TransportError
from mesh_gateway.federation.relay import Relay
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import RELAY, BrokerParts
from mesh_gateway.transport.contract import OPERATORS, SHARED, Backlog, Measurable, Purpose

SCRAPE_SECONDS = 4.0
"""For all questions of one scrape; Prometheus gives it ten by default. What is not told by then is left out."""

SLICE = 100
"""Triggers that are asked about, or written down, without a rest for the loop: some 5 ms. All of 1,000 at once would hold up every
event for 50."""


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
    questions: list[asyncio.Task[Waiting | None]] = []
    told: set[asyncio.Task[Waiting | None]] = set()
    try:
        for ask in [ask for home in mesh.homes() for ask in _questions(home)]:
            questions.append(asyncio.create_task(ask()))
            if len(questions) % SLICE == 0:
                await asyncio.sleep(0)
        if questions:
            told, _ = await asyncio.wait(questions, timeout=SCRAPE_SECONDS)
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
    answers = [question.result() for question in questions if question in told]
    return [answer for answer in answers if answer is not None]


Ask = Callable[[], Coroutine[Any, Any, Backlog | None]]


def _questions(home: BrokerParts) -> Iterator[Callable[[], Coroutine[Any, Any, Waiting | None]]]:
    def question(purpose: Purpose, group: str, ask: Ask) -> Callable[[], Coroutine[Any, Any, Waiting | None]]:
        return partial(_waiting, home.spec.key, purpose, group, ask)

    for reader in home.readers:
        asked = partial(_asked, home.link, reader.channel.name, reader.group)
        yield question(Purpose.EVENTS, reader.group, asked)
    for trigger in home.triggers:
        yield question(Purpose.PARKED, trigger.key, partial(parked, trigger, home))
    for relay in home.relays:
        if relay.group is not None:
            asked = partial(_asked, home.link, relay.channel.name, relay.group)
            yield question(Purpose.EVENTS, relay.group, asked)
        yield question(Purpose.PARKED, RELAY + relay.key, partial(parked, relay, home))
    yield question(Purpose.DEAD_LETTERS, OPERATORS, partial(dead_letters, home))


async def _waiting(broker: str, purpose: Purpose, group: str, ask: Ask) -> Waiting | None:
    backlog = await ask()
    return None if backlog is None else Waiting(broker, purpose, group, backlog)


async def _asked(link: Link, channel: str, group: str) -> Backlog | None:
    transport = link.transport
    if not link.up.is_set() or not _measures(type(transport)):
        return None
    try:
        return await cast(Measurable, transport).backlog(channel, group)
    except TransportError:
        return None


@cache
def _measures(transport: type) -> bool:
    """Asked for each Trigger at each scrape, and Python takes microseconds to look at a protocol."""
    return issubclass(transport, Measurable)
