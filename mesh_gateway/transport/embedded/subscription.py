"""One member of a group: what it holds, and the contract's words for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.group import Group

WAIT_SECONDS = 1.0
"""How long an empty receive waits; the contract says about a second. Whatever arrives ends it at once."""


class EmbeddedSubscription:
    """Implements `Subscription`. A delivery's token is its event's number in the channel."""

    def __init__(
        self,
        group: Group,
        *,
        flush: Callable[[], Awaitable[None]],
        check: Callable[[], None],
        left: Callable[[EmbeddedSubscription], None],
    ) -> None:
        self._group = group
        self._flush = flush
        self._check = check
        self._left = left
        self._held: dict[int, Delivery] = {}
        self._closed = False
        group.join()

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """As `Subscription.receive`; ends empty when the subscription is closed meanwhile."""
        self._refuse_if_closed()
        taken = self._group.take(limit)
        if not taken:
            await self._group.news(WAIT_SECONDS)
            if self._closed:
                return ()
            self._check()
            taken = self._group.take(limit)
        held = self._held
        for delivery in taken:
            held[delivery.token] = delivery
        return taken

    async def settle(self, done: Sequence[Delivery]) -> None:
        """As `Subscription.settle`; durable a moment later, or when the subscription is closed."""
        self._refuse_if_closed()
        numbers = [delivery.token for delivery in done]
        held = self._held
        for number in numbers:
            held.pop(number, None)
        self._group.settle(numbers)

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """As `Subscription.release`; any delay is honoured while the subscription is open."""
        self._refuse_if_closed()
        held = self._held
        mine = {delivery.token: delivery for delivery in back if held.pop(delivery.token, None) is not None}
        if not mine:
            return
        if delay is not None and delay > 0:
            self._group.give_back_later(mine, delay)
        else:
            self._group.give_back(mine)

    async def close(self) -> None:
        """As `Subscription.close`. Raises `TransportError` when the settles could not be written."""
        if not self._closed:
            self.leave()
            await self._flush()

    def leave(self) -> None:
        """Stop reading at once; a receive that waits ends empty."""
        self._closed = True
        self._group.leave(self._held)
        self._held = {}
        self._group.wake()
        self._left(self)

    def _refuse_if_closed(self) -> None:
        self._check()
        if self._closed:
            raise ConnectionLost("the subscription is closed")
