"""A relay's own reading of its source broker: what its filter wants, for as long as there is room for it.

The twin of `delivery.parking`, which reads the relay's parked channel: both hand on through `take` when `room()` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mesh_gateway.broker.reader import RECEIVE_LIMIT, Sifting, subscribed
from mesh_gateway.delivery.parking import Take
from mesh_gateway.event import Event
from mesh_gateway.federation.counters import RelayCounters
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Start, Subscription
from mesh_gateway.transport.ledger import Ledger


class Wanted(Protocol):
    """A filter."""

    def matches(self, event: Event) -> bool:
        """Whether an event is to be relayed."""
        ...


class Intake:
    """Reads `source` as `group`. `run` has one owner and may be run again: what was not settled by then comes again."""

    def __init__(
        self,
        source: Channel,
        group: str,
        start: Start,
        *,
        wanted: Wanted,
        sieve: Sifting | None,
        begun: asyncio.Event,
        met: asyncio.Event,
        take: Take,
        room: Callable[[], int],
        counters: RelayCounters,
    ) -> None:
        self._source = source
        self._group = group
        self._start = start
        self._wanted = wanted
        self._sieve = sieve
        self._begun = begun
        """Set here once the group exists."""
        self._met = met
        """Clear while the target is away."""
        self._take = take
        self._room = room
        self._counters = counters
        self._has_room = asyncio.Event()

    def resume(self) -> None:
        """There is room again."""
        self._has_room.set()

    async def run(self) -> None:
        """Read until cancelled; what has ended by then is settled on the way out. Raises `TransportError`."""
        if self._begun.is_set():
            await self._met.wait()  # while the target is away, nothing is taken out of the source at all
        subscription = await subscribed(self._source, self._group, self._start, self._sieve)
        self._begun.set()
        ledger = Ledger(subscription)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ledger.run())
                await self._read(subscription, ledger)
        finally:
            await ledger.close()

    async def _read(self, subscription: Subscription, ledger: Ledger) -> None:
        while True:
            deliveries = await subscription.receive(await self._wait_for_room())
            ledger.received(len(deliveries))
            for delivery in deliveries:
                delivery.pending = 1
                if self._wanted.matches(delivery.event):
                    self._take(delivery, ledger.finish)
                else:
                    self._counters.filtered += 1
                    ledger.finish(delivery)

    async def _wait_for_room(self) -> int:
        while (room := self._room()) <= 0:
            self._has_room.clear()
            await self._has_room.wait()
        return min(room, RECEIVE_LIMIT)
