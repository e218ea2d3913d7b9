"""What runs: a supervised task for each link, channel, reader, trigger, relay and receiver, and how they stop.

Stopping follows the flow of events, so that nothing is cut off from its way out:

    readers and relays receive no more ─▶ deliveries and transfers under way end, for ¾ of the grace
        ─▶ what has ended is settled ─▶ channels flush ─▶ transports close

What has not ended by then stays unsettled in its channel and comes again at the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

import structlog

from mesh_gateway.broker.reader import Reader
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.errors import ConnectionLost, TransportError
from mesh_gateway.federation.relay import Relay
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import BrokerParts, Parts
from mesh_gateway.gateway.supervise import Part, leaves, supervise
from mesh_gateway.transport.channel import Channel

log = structlog.get_logger("mesh_gateway.mesh")

DELIVERIES_SHARE = 0.75
"""Of the grace, for deliveries to end; the rest is for settling and closing."""


class Mesh:
    """Runs the parts of one gateway. `run` has one owner; `stop` may be called from anywhere."""

    def __init__(self, parts: Parts, *, grace: float) -> None:
        self.parts = parts
        self.supervised: dict[str, Part] = {}
        self._grace = grace
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin to stop; `run` returns when everything has."""
        self._stop.set()

    async def run(self) -> None:
        """Run everything until `stop`, then stop in order."""
        async with asyncio.TaskGroup() as group:

            def start(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
                part = self.supervised[name] = Part(name)
                return group.create_task(supervise(part, work), name=name)

            links = [start(f"transport {link.name}", link.run) for link in self.parts.links.values()]
            channels = [start(f"channel {c.name}", c.run) for c in self._channels()]
            triggers = [
                start(f"trigger {trigger.key}", after(home.link, trigger.run))
                for home in self.parts.brokers.values()
                for trigger in home.triggers
            ]
            relays = [
                start(f"relay {one.spec.key}", after(one.home.link, one.relay.run))
                for one in self.parts.relays.values()
            ]
            receivers = [
                start(f"receiver {home.spec.key}", home.receiver.run)
                for home in self.parts.brokers.values()
                if home.receiver is not None
            ]
            readers = [
                start(f"reader {reader.broker} {reader.group}", after(home.link, reader.run))
                for home in self.parts.brokers.values()
                for reader in home.readers
            ]
            await self._stop.wait()
            await self._finish_deliveries()
            await end(readers)
            await end(triggers)
            await end(relays)
            await end(receivers)
            await self._flush()
            await end(channels)
            await end(links)

    async def up(self) -> None:
        """Returns once every transport is connected and every reader has subscribed."""
        for link in self.parts.links.values():
            await link.up.wait()
        for reader in self.readers():
            await reader.begun.wait()
        for relay in self.relays():
            await relay.begun.wait()

    @property
    def ready(self) -> bool:
        """Every transport can make events durable, every group has begun, and no part has failed for good."""
        return (
            all(link.up.is_set() for link in self.parts.links.values())
            and all(reader.begun.is_set() for reader in self.readers())
            and all(relay.begun.is_set() for relay in self.relays())
            and not any(part.state == "failed" for part in self.supervised.values())
        )

    async def _finish_deliveries(self) -> None:
        for reader in self.readers():
            reader.stop()
        for trigger in self.triggers():
            trigger.stop()
        for relay in self.relays():
            relay.stop()
        try:
            async with asyncio.timeout(self._grace * DELIVERIES_SHARE):
                for trigger in self.triggers():
                    await trigger.idle()
                for relay in self.relays():
                    await relay.idle()
        except TimeoutError:
            left = sum(trigger.held for trigger in self.triggers()) + sum(
                relay.held for relay in self.relays()
            )
            log.warning("deliveries left unsettled; they come again at the next start", copies=left)
        for trigger in self.triggers():
            await trigger.close()
        for relay in self.relays():
            await relay.close()

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(self._grace * (1 - DELIVERIES_SHARE)):
                for channel in self._channels():
                    if channel.up:
                        await channel.flushed()
        except TimeoutError:
            log.warning("a publish did not end in time; its outcome is unknown")

    def readers(self) -> Iterator[Reader]:
        for home in self.homes():
            yield from home.readers

    def triggers(self) -> Iterable[Trigger]:
        return self.parts.triggers.values()

    def relays(self) -> Iterator[Relay]:
        for one in self.parts.relays.values():
            yield one.relay

    def homes(self) -> Iterable[BrokerParts]:
        return self.parts.brokers.values()

    def _channels(self) -> list[Channel]:
        return [channel for link in self.parts.links.values() for channel in link.channels]


def after(link: Link, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`work`, for as long as the transport it needs is up; the link hears of the errors it ends with.

    A subscription belongs to one connection. When that is lost, the work is cancelled and raises
    `ConnectionLost`, so that its supervisor runs it again on the next one.
    """

    async def wait_and_work() -> None:
        await link.up.wait()
        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(_only(work))
                lost = tasks.create_task(_lost(link))
                working.add_done_callback(lambda ended: lost.cancel())
        except* TransportError as group:
            for error in leaves(group):
                if isinstance(error, TransportError):
                    link.report(error)
            raise

    return wait_and_work


async def _only(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _lost(link: Link) -> None:
    await link.down.wait()
    raise ConnectionLost(f"transport {link.name}: {link.detail or 'the connection was lost'}")


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel these and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
