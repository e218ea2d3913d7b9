"""What a stopped gateway has left on its transports, read from these and from nothing that a gateway says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from mesh_gateway.delivery.reply import TTL
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.event import Event
from mesh_gateway.gateway.assembly import assemble
from mesh_gateway.gateway.parts import BrokerParts, Surroundings
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.transport.contract import SHARED, Browsable, Measurable
from mesh_gateway.transport.plugins import Plugins

PAGE = 500
"""Dead letters read at a time."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Of all brokers of a gateway."""

    letters: list[Event]
    """As `dlq show` shows them: without what is internal."""
    unsettled: dict[str, int]
    """`channel group` -> how many events the group has not settled."""


async def leftovers(spec: GatewaySpec, plugins: Plugins) -> Leftovers:
    """Open the transports of `spec`, look, and close them. The gateway must not run: the embedded store has one owner.

    Raises `TransportError`, `PluginError`, `TopologyError`.
    """
    around = Surroundings(
        plugins=plugins,
        clock=asyncio.get_running_loop(),
        watches=Watches(),
        ingress_url=lambda broker: "",
        on_unreadable=lambda channel, why: None,
        on_fatal=lambda why: None,
    )
    parts = assemble(spec, around)
    letters: list[Event] = []
    unsettled: dict[str, int] = {}
    for link in parts.links.values():
        transport = link.transport
        await transport.open()
        try:
            for home in parts.brokers.values():
                if home.link is not link:
                    continue
                letters += [event async for event in _letters(home)]
                if isinstance(transport, Measurable):
                    for channel, group in _groups(home):
                        unsettled[f"{channel} {group}"] = (await transport.backlog(channel, group)).events
        finally:
            await transport.close()
    return Leftovers(letters, unsettled)


def _groups(home: BrokerParts) -> Iterator[tuple[str, str]]:
    yield from ((reader.channel.name, reader.group) for reader in home.readers)
    yield from ((trigger.parking.channel.name, SHARED) for trigger in home.triggers)


async def _letters(home: BrokerParts) -> AsyncIterator[Event]:
    transport = home.link.transport
    if not isinstance(transport, Browsable):
        return
    after: str | None = None
    while page := await transport.browse(home.dead_letters.name, after=after, limit=PAGE):
        for stored in page:
            yield stored.event.with_attributes({TTL: None})
        after = page[-1].position
