"""What was removed by a reload and may have left events behind: kept in their channels, and listed until they are none.

A trigger, relay or broker of the same name takes up what is there. Nothing is ever deleted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mesh_gateway.errors import TransportError
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import Parts
from mesh_gateway.transport.contract import OPERATORS, SHARED, Backlog, Measurable

Kind = Literal["broker", "trigger", "relay"]


@dataclass(frozen=True, slots=True)
class Left:
    """Where something that was removed may have left events."""

    kind: Kind
    name: str
    broker: str
    link: Link
    places: Sequence[tuple[str, str]]
    """Channels, and their groups."""
    since: float = field(default_factory=time.time)


class Removed:
    """All that was removed since the process started and has not come back."""

    def __init__(self) -> None:
        self._left: dict[tuple[Kind, str, str], Left] = {}

    def note(self, old: Parts, new: Parts) -> None:
        """`new` takes the place of `old`."""
        now = {key[:3] for key in (_key(one) for one in _places(new))}
        for one in _places(old):
            if _key(one) not in now:
                self._left[_key(one)] = one
        for key in now & self._left.keys():
            del self._left[key]

    async def backlogs(self) -> list[dict[str, Any]]:
        """Those that have left something, or of which nobody can tell (`backlog` is None then)."""
        left = list(self._left.values())
        found = await asyncio.gather(*(_asked(one) for one in left))
        return [
            {
                "kind": one.kind,
                "name": one.name,
                "broker": one.broker,
                "backlog": None if waiting is None else waiting.events,
                "oldest_age": None if waiting is None else waiting.oldest_age,
                "since": one.since,
            }
            for one, waiting in zip(left, found, strict=True)
            if waiting is None or waiting.events
        ]


def _key(one: Left) -> tuple[Kind, str, str]:
    # A broker on another transport has left behind what lies on the first.
    return one.kind, one.name, f"{one.broker} {one.link.name} {one.link.kind}"


def _places(parts: Parts) -> list[Left]:
    places: list[Left] = []
    for key, home in parts.brokers.items():
        of_broker = [(home.broker.channel.name, SHARED), (home.dead_letters.name, OPERATORS)]
        places.append(Left("broker", key, key, home.link, of_broker))
        for trigger in home.triggers:
            own = [(home.broker.channel.name, r.group) for r in home.readers if r.gate is trigger.gate]
            parked = (trigger.parking.channel.name, SHARED)
            dedicated = parts.spec.triggers[trigger.key].read == "dedicated"
            places.append(
                Left("trigger", trigger.key, key, home.link, [parked, *own] if dedicated else [parked])
            )
        for relay in home.relays:
            group = [] if relay.group is None else [(relay.channel.name, relay.group)]
            places.append(
                Left("relay", relay.key, key, home.link, [(relay.parking.channel.name, SHARED), *group])
            )
    return places


async def _asked(one: Left) -> Backlog | None:
    """All that it has left; None where the transport is not there any more, or cannot tell."""
    if not one.link.up.is_set() or not isinstance(one.link.transport, Measurable):
        return None
    try:
        found = [await one.link.transport.backlog(channel, group) for channel, group in one.places]
    except TransportError:
        return None
    ages = [backlog.oldest_age for backlog in found if backlog.oldest_age is not None]
    return Backlog(sum(backlog.events for backlog in found), max(ages, default=None))
