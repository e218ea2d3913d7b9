"""Finding events that a broker holds twice, when they are read: for transports that cannot remember what they store.

A transfer whose outcome its sender did not hear of is sent again, and may then lie in the log twice. Of all copies of
an event that came by relays, the one that a group reads first counts for that group; which one that is, is durable before
anybody is given it. So a copy that comes again (after a crash, unsettled) is the same copy and is delivered, and another
one is a duplicate and is settled without being delivered.

Each group has its own first copy, because a transport may hold one copy for one group and not for another: a publish that
RabbitMQ did not confirm may lie in some of its queues only. A choice that held for all groups would lose the event for the
others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b

from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.window import identity
from mesh_gateway.transport.contract import Delivery, Memory, Remembering


class Sieve:
    """For one broker. Its memory lies on `transport`, in the channel named `channel` there.

    May be called by any number of readers at once; each question is one commit, after all before it.
    """

    def __init__(self, transport: Remembering, channel: str, up: asyncio.Event) -> None:
        self.duplicates = 0
        """Copies that were not delivered."""
        self._up = up
        self._transport = transport
        self._channel = channel

    async def duplicates_of(self, group: str, deliveries: Sequence[Delivery]) -> set[int]:
        """The indexes of the deliveries that hold what another copy has brought to `group`. Raises `TransportError`."""
        asked = [
            (index, _named(group, identity(one.event)), one.position)
            for index, one in enumerate(deliveries)
            if via.VIA in one.event.attributes
        ]
        if not asked:
            return set()
        found: set[int] = set()

        def choose(memory: Memory) -> Sequence[Event]:
            found.clear()
            copies = [(index, own, _named(position, own)) for index, own, position in asked]
            known = memory.known([name for _, own, copy in copies for name in (own, copy)])
            new: list[bytes] = []
            for index, own, copy in copies:
                if copy in known:
                    continue
                if own in known:
                    found.add(index)
                    continue
                known |= {own, copy}
                new += (own, copy)
            memory.remember(new)
            return ()

        await self._up.wait()  # a memory that is not open yet is no fault of the broker's transport
        await self._transport.publish_chosen(self._channel, choose, size=64 * len(asked))
        self.duplicates += len(found)
        return found


def _named(what: str, own: bytes) -> bytes:
    """An event within a group, or one copy of it there, as its identity names the event."""
    return blake2b(own + what.encode(), digest_size=16).digest()
