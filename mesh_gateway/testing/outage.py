"""What a careful user of a transport knows while connections break: what was promised, and how to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mesh_gateway.errors import ConnectionLost, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.testing.harness import RETRY_SECONDS, Kit
from mesh_gateway.testing.proxy import Proxy
from mesh_gateway.transport.contract import EARLIEST, SHARED, Delivery, Subscription, Transport

FAULTS: Mapping[str, Callable[[Proxy], None]] = {
    "cut": Proxy.cut,
    "refused": Proxy.refuse,
    "half-open": Proxy.freeze,
    "answers lost": Proxy.lose_answers,
}
"""What may happen to the way between a transport and its server."""


@dataclass(slots=True)
class Promises:
    """What `publish` has said of each event, by id."""

    kit: Kit
    transport: Transport
    channel: str
    stored: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    async def publish(self, events: Sequence[Event]) -> TransportError | None:
        """Publish, and note what is known afterwards; gives what was raised.

        One that has not ended in time is cancelled, as the gateway does.
        """
        ids = [event.id for event in events]
        try:
            async with asyncio.timeout(self.kit.harness.patience):
                await self.transport.publish(self.channel, events)
        except TimeoutError:
            self.unknown.update(ids)
        except PublishError as error:
            self.unknown.update(ids[index] for index in error.unknown)
            self.failed.update(ids[index] for index in error.failed)
            self.stored.update(
                id for index, id in enumerate(ids) if index not in error.unknown | error.failed
            )
            return error
        except TransportError as error:
            self.failed.update(ids)  # by the contract: nothing at all was stored
            return error
        else:
            self.stored.update(ids)
        return None

    async def publish_on(self, prefix: str, enough: asyncio.Event) -> None:
        """Publish batch after batch until `enough`, opening the transport anew when it is lost."""
        number = 0
        while not enough.is_set():
            number += 1
            batch = [Event.new(type="kit.event", source="/kit", id=f"{prefix}{number}-{n}") for n in range(5)]
            error = await self.publish(batch)
            if isinstance(error, ConnectionLost):
                await self.kit.reopened(self.transport)
            elif error is not None:
                await asyncio.sleep(RETRY_SECONDS)

    def kept(self, found: Sequence[str]) -> None:
        """Hold the promises against what is really there."""
        lost = self.stored - set(found)
        assert not lost, f"publish returned for these, and they are not there: {sorted(lost)}"
        wrong = self.failed & set(found)
        assert not wrong, (
            f"publish said that these are not stored (not: unknown), and they are: {sorted(wrong)}"
        )
        strange = set(found) - self.stored - self.unknown
        assert not strange, f"nobody published these: {sorted(strange)}"


async def read_on(
    kit: Kit, transport: Transport, channel: str, wanted: set[str], subscription: Subscription | None = None
) -> tuple[Subscription, list[Delivery]]:
    """Read until all `wanted` ids have come, as the gateway does: anew after each `ConnectionLost`.

    Gives the subscription in the end and what it holds; nothing is settled. Fails when they do not come within
    the harness' time for recovery.
    """
    found: dict[str, Delivery] = {}
    try:
        async with asyncio.timeout(kit.harness.recovery):
            while True:
                try:
                    if subscription is None:
                        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
                    while not wanted <= found.keys():
                        for delivery in await subscription.receive(100):
                            found[delivery.event.id] = delivery
                except ConnectionLost:
                    subscription = None
                    found.clear()
                    await kit.reopened(transport)
                else:
                    return subscription, list(found.values())
    except TimeoutError:
        missing = sorted(wanted - found.keys())
        raise AssertionError(f"these did not come: {missing}; these did: {sorted(found)}") from None
