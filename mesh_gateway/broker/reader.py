"""One subscription for many triggers: each event is received and decoded once, and settled when the last has finished.

receive ─▶ match ─▶ nobody ─────────────▶ settle
               └──▶ offer to each trigger ─▶ (each finishes) ─▶ settle, once a turn of the loop
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from mesh_gateway.broker.router import Router
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Delivery, Start, Subscription
from mesh_gateway.transport.ledger import Ledger

RECEIVE_LIMIT = 256
"""Events asked for at once: enough to spread the cost of a receive to nothing (under 0.1 µs an
event), few enough that 256 events of 1 MiB stay within a budget of memory."""


class Sifting(Protocol):
    """Finds events that lie in the channel twice."""

    async def duplicates_of(self, group: str, deliveries: Sequence[Delivery]) -> set[int]:
        """The indexes of the deliveries that hold what another copy has brought to `group`. Raises `TransportError`."""
        ...


async def sifted(
    sieve: Sifting | None, group: str, deliveries: Sequence[Delivery], ledger: Ledger
) -> Sequence[Delivery]:
    """The deliveries of `group` without duplicates, which are settled. Raises `TransportError`."""
    doubles = set() if sieve is None else await sieve.duplicates_of(group, deliveries)
    if not doubles:
        return deliveries
    ledger.unwanted([one for index, one in enumerate(deliveries) if index in doubles])
    return [one for index, one in enumerate(deliveries) if index not in doubles]


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
        self._gate = gate
        self._watches = watches
        self._sieve = sieve
        self._stop = asyncio.Event()
        self._ledger: Ledger | None = None

    @property
    def outstanding(self) -> int:
        """Received and not yet settled."""
        return 0 if self._ledger is None else self._ledger.outstanding

    def stop(self) -> None:
        """Receive nothing more; settling goes on until `run` is cancelled."""
        self._stop.set()

    async def run(self) -> None:
        """Read until cancelled; what is done by then is settled on the way out."""
        subscription = await self.channel.subscribe(self.group, self._start)
        ledger = self._ledger = Ledger(subscription)
        self.begun.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ledger.run())
                await self._read(subscription, ledger)
                await self._never()
        finally:
            await self._let_go(subscription, ledger)

    async def _read(self, subscription: Subscription, ledger: Ledger) -> None:
        while not self._stop.is_set():
            await self._gate.passable()
            deliveries = await subscription.receive(RECEIVE_LIMIT)
            if deliveries:
                ledger.received(len(deliveries))
                self.route(await sifted(self._sieve, self.group, deliveries, ledger), ledger)

    def route(self, deliveries: Sequence[Delivery], ledger: Ledger) -> None:
        """Show each event to the triggers that want it."""
        match = self.router.match
        finish = ledger.finish
        unwanted: list[Delivery] = []
        self.received += len(deliveries)
        for delivery in deliveries:
            triggers = match(delivery.event)
            if self._watches.by_event:
                self._tell(delivery, [trigger.key for trigger in triggers])
            if not triggers:
                unwanted.append(delivery)
                continue
            delivery.pending = len(triggers)
            for trigger in triggers:
                trigger.offer(delivery, finish)
        self.unmatched += len(unwanted)
        ledger.unwanted(unwanted)

    async def _let_go(self, subscription: Subscription, ledger: Ledger) -> None:
        """Settle what is done and close, whatever ended the reading."""
        try:
            await ledger.flush()
        finally:
            self._ledger = None
            await subscription.close()

    async def _never(self) -> None:
        """Stopped reading, but triggers still finish: stay until the owner cancels."""
        await asyncio.Event().wait()

    def _tell(self, delivery: Delivery, triggers: list[str]) -> None:
        self._watches.tell(self.broker, delivery.event, {"event": "matched", "triggers": triggers})
