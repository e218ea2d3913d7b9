"""One subscription for many triggers: each event is received and decoded once, and settled when the last has finished.

receive ─▶ match ─▶ nobody ─────────────▶ settle
               └──▶ offer to each trigger ─▶ (each finishes) ─▶ settle, once a turn of the loop
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from mesh_gateway.broker.router import Router, offer
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.event import Event
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Delivery, Start, Subscription
from mesh_gateway.transport.ledger import Ledger

RECEIVE_LIMIT = 256
"""Events asked for at once: enough to spread the cost of a receive to nothing (under 0.1 µs an
event), few enough that 256 events of 1 MiB stay within a budget of memory."""


class Sifting(Protocol):
    """Finds events that lie in the channel twice."""

    def sifted(self, subscription: Subscription, group: str) -> Subscription:
        """The subscription of this group, without second copies."""
        ...


async def subscribed(channel: Channel, group: str, start: Start, sieve: Sifting | None) -> Subscription:
    """A subscription without second copies. Raises `TransportError`."""
    subscription = await channel.subscribe(group, start)
    return subscription if sieve is None else sieve.sifted(subscription, group)


class Reader:
    """Reads one channel as one group for the triggers of `router`.

    `run` has one owner. It raises `TransportError` when the subscription is lost, and can be run
    again: what was not settled comes again. Setting `router` swaps all triggers at once.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        broker: str,
        group: str,
        start: Start,
        router: Router,
        gate: Gate,
        watches: Watches,
        sieve: Sifting | None = None,
    ) -> None:
        self.channel = channel
        self.broker = broker
        self.group = group
        self.router = router
        self.received = 0
        self.unmatched = 0
        self.begun = asyncio.Event()
        """Set once it has subscribed: from then on its group misses nothing, wherever it starts."""
        self._start = start
        self.gate = gate
        self._watches = watches
        self._sieve = sieve
        self._stop = asyncio.Event()
        self._awaited: float = float("inf")
        self._came = asyncio.Event()
        self._ledger: Ledger | None = None

    @property
    def outstanding(self) -> int:
        """Received and not yet settled."""
        return 0 if self._ledger is None else self._ledger.outstanding

    async def has_received(self, count: int) -> None:
        """Returns once `received` is that much. One may wait at a time."""
        self._awaited = float(count)
        self._came.clear()
        if self.received < count:
            await self._came.wait()
        self._awaited = float("inf")

    async def settled(self) -> None:
        """Returns once everything that it has received is settled."""
        if self._ledger is not None:
            await self._ledger.settled()

    def stop(self) -> None:
        """Receive nothing more; settling goes on until `run` is cancelled."""
        self._stop.set()

    async def run(self) -> None:
        """Read until cancelled; what is done by then is settled on the way out."""
        subscription = await subscribed(self.channel, self.group, self._start, self._sieve)
        ledger = self._ledger = Ledger(subscription)
        self.begun.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ledger.run())
                await self._read(subscription, ledger)
                await self._never()
        finally:
            await self._let_go(ledger)

    async def _read(self, subscription: Subscription, ledger: Ledger) -> None:
        while not self._stop.is_set():
            await self.gate.passable()
            deliveries = await subscription.receive(RECEIVE_LIMIT)
            if deliveries:
                ledger.received(len(deliveries))
                self.route(deliveries, ledger)

    def route(self, deliveries: Sequence[Delivery], ledger: Ledger) -> None:
        """Show each event to the triggers that want it."""
        self.received += len(deliveries)
        if self.received >= self._awaited:
            self._came.set()
        watch = self._tell if self._watches.by_event else None
        unwanted = offer(deliveries, self.router.match, ledger.finish, watch)
        self.unmatched += len(unwanted)
        ledger.unwanted(unwanted)

    async def _let_go(self, ledger: Ledger) -> None:
        """Settle what is done and close, whatever ended the reading."""
        try:
            await ledger.close()
        finally:
            self._ledger = None

    async def _never(self) -> None:
        """Stopped reading, but triggers still finish: stay until the owner cancels."""
        await asyncio.Event().wait()

    def _tell(self, event: Event, triggers: list[str]) -> None:
        self._watches.tell(self.broker, event, {"event": "matched", "triggers": triggers})
