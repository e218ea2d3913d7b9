"""The countdown behind the law of settling: what of one subscription is still held, and what may be settled.

A delivery is shared by every trigger that wants it. Each calls `finish` once, when its copy has a
durable end; the last one puts the delivery on the list that the next `settle` takes. Nothing else
settles: not shutdown, not an exception, not a trigger that went away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mesh_gateway.transport.contract import Delivery, Subscription


class Ledger:
    """Counts down the deliveries of one opened subscription and settles them, once a turn of the loop.

    `run` has one owner; it raises the `TransportError` of a settle that failed, after which this
    ledger is finished with: its deliveries come again from the next subscription.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._done: list[Delivery] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.outstanding = 0
        """Received and not yet settled."""

    def received(self, count: int) -> None:
        """`count` deliveries have come in."""
        if count:
            self.outstanding += count
            self._empty.clear()

    def finish(self, delivery: Delivery) -> None:
        """One copy of `delivery` has a durable end."""
        delivery.pending -= 1
        if delivery.pending == 0:
            self._done.append(delivery)
            self._wake.set()

    def unwanted(self, deliveries: Sequence[Delivery]) -> None:
        """No filter said yes to these."""
        if deliveries:
            self._done.extend(deliveries)
            self._wake.set()

    async def settled(self) -> None:
        """Returns once everything received has been settled."""
        await self._empty.wait()

    async def run(self) -> None:
        """Settle what is done, until cancelled; then what is left is settled by `flush`."""
        while True:
            await self._wake.wait()
            await self.flush()

    async def flush(self) -> None:
        """Settle what is done by now. Raises `TransportError`."""
        self._wake.clear()
        done, self._done = self._done, []
        if not done:
            return
        try:
            await self._subscription.settle(done)
        except asyncio.CancelledError:
            # Stopped in the middle: whoever lets go of the subscription settles these once more.
            self._done = done + self._done
            raise
        self.outstanding -= len(done)
        if self.outstanding == 0:
            self._empty.set()

    async def close(self) -> None:
        """Settle what is done and close the subscription; nothing may follow. Raises the `TransportError` of the settle.

        Cancelled, it ends both all the same before it says so: a subscription that is closed by half lives on with its
        share of the channel, and nobody reads that. A second cancellation cancels them.
        """
        closing = asyncio.create_task(self._flush_and_close(), name="close a subscription")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.gather(closing, return_exceptions=True)
            raise

    async def _flush_and_close(self) -> None:
        try:
            await self.flush()
        finally:
            await self._subscription.close()
