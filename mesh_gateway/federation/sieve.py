"""Finding events that a broker holds twice, when they are read: for transports that cannot remember what they store.

A transfer whose outcome its sender did not hear of is sent again, and may then lie in the log twice. Of all copies of
an event that came by relays, a group is given one:

    read ─▶ has another copy ended here? ──yes──▶ settled, not given
              │ no
            is another copy in hand? ──yes──▶ kept, and settled when that one ends
              │ no
            given ─▶ … ─▶ ended ─▶ "this event has ended, by this copy" durable ─▶ settled

So a copy is passed over only where this process knows that the event has reached its end, or holds it. Which copy came
first does not matter, nor who has seen it before: two processes that share a group may each give theirs, and never
both pass over the other's. A copy in hand that is given back takes with it those that wait for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b

from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.identity import identity
from mesh_gateway.transport.contract import Choose, Delivery, Memory, Remembering, Subscription

NAME_BYTES = 64
"""Counted for a name that is remembered, with its row."""


class Sieve:
    """For one broker. Its memory lies on `transport`, in the channel named `channel` there; `up` is set while that is open.

    May be used by any number of readers at once; each question is one commit, after all before it.
    """

    def __init__(self, transport: Remembering, channel: str, up: asyncio.Event) -> None:
        self.duplicates = 0
        """Copies that were not delivered."""
        self._up = up
        self._transport = transport
        self._channel = channel

    def sifted(self, subscription: Subscription, group: str) -> Subscription:
        """The subscription of this group, without second copies."""
        return Sifted(self, subscription, group)

    async def ended(self, names: Sequence[bytes]) -> set[bytes]:
        """Those of them that were remembered. Raises `TransportError`, also when nothing more could be remembered."""
        found: set[bytes] = set()

        def look(memory: Memory) -> Sequence[Event]:
            found.clear()
            found.update(memory.known(names))
            return ()

        await self._commit(look, len(names))
        return found

    async def remember(self, names: Sequence[bytes]) -> None:
        """These have ended. Raises `TransportError`."""

        def keep(memory: Memory) -> Sequence[Event]:
            memory.remember(names)
            return ()

        await self._commit(keep, len(names))

    async def _commit(self, choose: Choose, names: int) -> None:
        await self._up.wait()  # a memory that is not open yet is no fault of the broker's transport
        await self._transport.publish_chosen(self._channel, choose, size=NAME_BYTES * names)


class Sifted:
    """Implements `Subscription` over another one: hands on what that receives, but for second copies."""

    def __init__(self, sieve: Sieve, subscription: Subscription, group: str) -> None:
        self._sieve = sieve
        self._subscription = subscription
        self._group = group.encode()
        self._in_hand: dict[bytes, list[Delivery]] = {}
        """Copies by event: first the one that was given, then those that wait for its end."""
        self._given: dict[Delivery, bytes] = {}
        """The event of each copy that was given."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """As `Subscription.receive`. Raises `TransportError` of the memory, too."""
        found = await self._subscription.receive(limit)
        new: dict[bytes, list[Delivery]] = {}
        for one in found:
            if via.VIA not in one.event.attributes:
                continue
            event = self._event(one)
            copies = self._in_hand.get(event)
            if copies is None:
                copies = self._in_hand[event] = new[event] = []
            copies.append(one)
        chosen = await self._choose(new) if new else frozenset()
        return [one for one in found if one in chosen or via.VIA not in one.event.attributes]

    async def _choose(self, new: dict[bytes, list[Delivery]]) -> set[Delivery]:
        """Of each of these events the copy that is given. Settles those that have ended by another one."""
        names = [
            name for event, copies in new.items() for name in (event, *(_copy(event, one) for one in copies))
        ]
        ended = await self._sieve.ended(names)
        chosen: set[Delivery] = set()
        over: list[Delivery] = []
        for event, copies in new.items():
            # A copy that has ended comes again when its settling was lost, or when its group was set back on purpose.
            again = (one for one in copies if _copy(event, one) in ended)
            first = next(again, None) if event in ended else copies[0]
            if first is None:
                over += self._in_hand.pop(event)
                continue
            copies.remove(first)
            copies.insert(0, first)
            self._given[first] = event
            chosen.add(first)
        if over:
            self._sieve.duplicates += len(over)
            await self._subscription.settle(over)
        return chosen

    async def settle(self, done: Sequence[Delivery]) -> None:
        """As `Subscription.settle`, once it is durable that these events have ended."""
        ending = {one: event for one in done if (event := self._given.pop(one, None)) is not None}
        if ending:
            await self._sieve.remember(
                [name for one, event in ending.items() for name in (event, _copy(event, one))]
            )
        others = [one for event in ending.values() for one in self._in_hand.pop(event)[1:]]
        self._sieve.duplicates += len(others)
        await self._subscription.settle([*done, *others])

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """As `Subscription.release`, with the copies that wait for these."""
        events = [event for one in back if (event := self._given.pop(one, None)) is not None]
        others = [one for event in events for one in self._in_hand.pop(event)[1:]]
        await self._subscription.release([*back, *others], delay)

    async def close(self) -> None:
        """As `Subscription.close`."""
        await self._subscription.close()

    def _event(self, delivery: Delivery) -> bytes:
        """Names the event for this group: each of a broker's groups is given every event."""
        return blake2b(identity(delivery.event) + self._group, digest_size=16).digest()


def _copy(event: bytes, delivery: Delivery) -> bytes:
    """Names one copy of an event, as `event` names all of them."""
    return blake2b(event + delivery.position.encode(), digest_size=16).digest()
