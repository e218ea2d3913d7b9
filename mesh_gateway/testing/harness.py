"""What the kit needs to be told of a transport, and the small words its tests are written in."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Purpose,
    Start,
    Subscription,
    Transport,
)

NAMESPACE = "kit"


async def real_time(seconds: float) -> None:
    """Let time pass by waiting for it."""
    await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Harness:
    """One way to run the kit: how to make the transport, and what can be done to its surroundings."""

    make: Callable[[], Transport]
    """A new transport object over the same stored state; not yet open."""
    restart: Callable[[], Awaitable[None]] | None = None
    """Restart the server behind it, keeping what is durable; None = there is none."""
    advance: Callable[[float], Awaitable[None]] = real_time
    """Let this many seconds pass for delays and leases; with a manual clock at once."""
    patience: float = 10.0
    """Seconds after which an event that should arrive is called lost."""
    options: tuple[tuple[str, str], ...] = ()
    """`ChannelSpec.options` of every channel that the kit makes."""


@dataclass(slots=True)
class Kit:
    """A harness in use. Everything opened through it is closed at the end of the test."""

    harness: Harness
    _open: list[Transport] = field(default_factory=list)

    async def transport(self) -> Transport:
        """A new transport over the same state, open."""
        transport = self.harness.make()
        self._open.append(transport)
        await transport.open()
        return transport

    def spec(self, *groups: str) -> ChannelSpec:
        """A channel of this test alone, read by these groups (none named = the shared one)."""
        name = f"b{uuid.uuid4().hex[:12]}"
        return ChannelSpec(NAMESPACE, name, groups=groups or (SHARED,), options=self.harness.options)

    async def channel(self, transport: Transport, *groups: str) -> str:
        """The name of a new channel, made."""
        spec = self.spec(*groups)
        await transport.ensure(spec, Ensure.CREATE)
        return spec.name

    async def dead_letters(self, transport: Transport) -> str:
        """The name of a new dead-letter channel, as a broker's are made."""
        spec = replace(self.spec(OPERATORS), purpose=Purpose.DEAD_LETTERS)
        await transport.ensure(spec, Ensure.CREATE)
        return spec.name

    async def receive(self, subscription: Subscription, count: int) -> list[Delivery]:
        """`count` events, however many receives it takes. Fails when they do not come."""
        found: list[Delivery] = []
        try:
            async with asyncio.timeout(self.harness.patience):
                while len(found) < count:
                    found += await subscription.receive(count - len(found))
        except TimeoutError:
            raise AssertionError(f"{len(found)} of {count} events arrived: {ids(found)}") from None
        if len(found) > count:
            raise AssertionError(f"more was received than asked for: {len(found)} instead of {count}")
        return found

    async def nothing_but(self, transport: Transport, channel: str, subscription: Subscription) -> list[str]:
        """The ids of whatever arrives although nothing should.

        A marker is published behind it: where order is kept nothing can come after the marker, elsewhere
        one more empty receive has to be waited for.
        """
        marker = numbered("marker")
        await transport.publish(channel, [marker])
        found: list[Delivery] = []
        async with asyncio.timeout(self.harness.patience):
            while marker.id not in ids(found):
                found += await subscription.receive(100)
            if transport.capabilities.ordering == "none":
                found += await subscription.receive(100)
        await subscription.settle(found)
        return [id for id in ids(found) if id != marker.id]

    async def read_anew(self, channel: str, group: str = SHARED) -> tuple[Transport, Subscription]:
        """The same group's next reading, through a transport opened anew after all others were closed."""
        await self.close()
        transport = await self.transport()
        return transport, await transport.subscribe(channel, group, EARLIEST)

    async def close(self) -> None:
        """Close every transport that was opened."""
        transports, self._open = self._open, []
        for transport in transports:
            await transport.close()


@asynccontextmanager
async def unpacked(harness: Harness) -> AsyncIterator[Kit]:
    """A kit over this harness."""
    kit = Kit(harness)
    try:
        yield kit
    finally:
        await kit.close()


def numbered(
    id: str, data: bytes | None = b"{}", specversion: str = "1.0", **attributes: str | int | bool
) -> Event:
    """An event with this id."""
    return Event.new(type="kit.event", source="/kit", id=id, data=data, specversion=specversion, **attributes)


def series(count: int, prefix: str = "e") -> list[Event]:
    """Events e0, e1, …"""
    return [numbered(f"{prefix}{n}") for n in range(count)]


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    """The ids of these events."""
    return [delivery.event.id for delivery in deliveries]


def at_position(delivery: Delivery) -> Start:
    """Begin with this event."""
    return Start("position", position=delivery.position)
