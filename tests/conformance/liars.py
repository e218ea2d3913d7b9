"""Transports that lie: each says or does one thing that is not true, and is honest otherwise.

First the embedded transport with a lie at one point of it, then the networked one with lies that show only
when its server restarts or a connection breaks.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from mesh_gateway.errors import (
    ChannelGone,
    ConnectionLost,
    EventTooLarge,
    NotPermitted,
    PublishError,
    TransportError,
)
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    Backlog,
    ChannelSpec,
    Check,
    Delivery,
    Drift,
    Ensure,
    Start,
    Stored,
)
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.transport import CAPABILITIES, EmbeddedTransport
from tests.conformance.networked import PASSWORD, NetworkedSubscription, NetworkedTransport, Unanswered


class Lying:
    """An honest subscription, to be lied about by overriding; everything else is passed on."""

    def __init__(self, honest: EmbeddedSubscription) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)


class SettlesWhatItHandsOut(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = await self._honest.receive(limit)
        await self._honest.settle(found)
        return found


class NeverSettles(Lying):
    async def settle(self, done: Sequence[Delivery]) -> None:
        return


class SettlesUpToTheHighest(Lying):
    async def settle(self, done: Sequence[Delivery]) -> None:
        highest = max(delivery.token for delivery in done)
        self._honest._group.settle(range(1, highest + 1))


class IgnoresTheDelay(Lying):
    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        await self._honest.release(back)


class ReleaseSettles(Lying):
    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        await self._honest.settle(back)


class Backwards(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        return list(reversed(await self._honest.receive(limit)))


class HandsOutTwice(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = list(await self._honest.receive(limit))
        return found + found[:1]


class HearsNoClose(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        await asyncio.Event().wait()
        return []


class DropsOnClose(Lying):
    """What a member held when it left is lost."""

    held: Sequence[Delivery] = ()

    async def receive(self, limit: int) -> Sequence[Delivery]:
        self.held = list(await self._honest.receive(limit))
        return self.held

    async def close(self) -> None:
        await self._honest.settle(self.held)
        await self._honest.close()


class IgnoresRelease(Lying):
    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        return


class BackwardsWhenReleased(Lying):
    """One after the other, the last one first."""

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        self._returned = list(reversed(back))

    async def receive(self, limit: int) -> Sequence[Delivery]:
        if found := getattr(self, "_returned", []):
            self._returned = found[limit:]
            return found[:limit]
        return await self._honest.receive(limit)


class CountsNothing(Lying):
    """Every time is the first."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = await self._honest.receive(limit)
        for delivery in found:
            delivery.attempt = 1
        return found


class Repositioned(Lying):
    """Says something else than where its events lie."""

    def position(self, delivery: Delivery) -> str:
        raise NotImplementedError

    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = await self._honest.receive(limit)
        for delivery in found:
            delivery.position = self.position(delivery)
        return found


class CountsWhatItHandsOut(Repositioned):
    """A delivery tag is no position."""

    handed_out = 0

    def position(self, delivery: Delivery) -> str:
        self.handed_out += 1
        return str(self.handed_out)


class CallsItByItsReader(Repositioned):
    def position(self, delivery: Delivery) -> str:
        return f"{id(self._honest._group)}-{delivery.position}"


class CallsItByItsEvent(Repositioned):
    def position(self, delivery: Delivery) -> str:
        return delivery.event.id


class ClosesOnce(Lying):
    async def close(self) -> None:
        if self._honest._closed:
            raise ConnectionLost("it is closed already")
        await self._honest.close()


class RefusesToSettleTwice(Lying):
    async def settle(self, done: Sequence[Delivery]) -> None:
        known: set[int] = getattr(self, "_known", set())
        if known & {delivery.token for delivery in done}:
            raise ConnectionLost("unknown delivery tag")
        self._known = known | {delivery.token for delivery in done}
        await self._honest.settle(done)


class RefusesToSettleWhatItReleased(Lying):
    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        self._released = {delivery.token for delivery in back}
        await self._honest.release(back, delay)

    async def settle(self, done: Sequence[Delivery]) -> None:
        if {delivery.token for delivery in done} & getattr(self, "_released", set()):
            raise ConnectionLost("unknown delivery tag")
        await self._honest.settle(done)


class LosesWhatIsCancelled(Lying):
    """It takes the events, and then it takes its time."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = await self._honest.receive(limit)
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            await self._honest.settle(found)
            raise
        return found


class SleepsThroughPublishes(Lying):
    """What arrives while it waits is not seen until it is asked again, which nobody does."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        taken = self._honest._group.take(limit)
        if taken:
            return taken
        await asyncio.Event().wait()
        return ()


class Embedded(EmbeddedTransport):
    """The honest one, with one point to lie at."""

    subscription: Callable[[EmbeddedSubscription], Any] = lambda honest: honest

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return type(self).subscription(await super().subscribe(channel, group, start))


class ForgetsTypes(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, [Event(event.attributes, event.data) for event in events])


class NoDataIsEmptyData(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, [Event(e.attributes, e.data or b"", e.kinds) for e in events])


class KeepsHalfABatch(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, events[: len(events) // 2])


class BuriesNothingLarge(Embedded):
    """Its limit is the same for dead letters, which are larger than their events."""

    LIMIT = 100_000
    capabilities = replace(CAPABILITIES, max_event_bytes=LIMIT)

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        room = self.LIMIT - 1_000  # for the attributes
        large = [index for index, event in enumerate(events) if len(event.data or b"") > room]
        if large:
            why = EventTooLarge(f"the limit is {self.LIMIT}")
            raise PublishError("too large", refused=dict.fromkeys(large, why))
        await super().publish(channel, events)


class LosesTheVeryLargest(Embedded):
    """It refuses what is too large by its own count, which is not the server's."""

    LIMIT = 100_000
    capabilities = replace(CAPABILITIES, max_event_bytes=LIMIT)

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        sizes = [len(event.data or b"") for event in events]
        if large := [index for index, size in enumerate(sizes) if size > self.LIMIT - 200]:
            why = EventTooLarge(f"the limit is {self.LIMIT}")
            raise PublishError("too large", refused=dict.fromkeys(large, why))
        stored = [event for event, size in zip(events, sizes, strict=True) if size <= self.LIMIT - 210]
        await super().publish(channel, stored)


class OneGroupOnly(Embedded):
    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return await super().subscribe(channel, SHARED, start)


class AlwaysFromTheStart(Embedded):
    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return await super().subscribe(channel, group, EARLIEST)


class MakesWhatItVerifies(Embedded):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        return await super().ensure(channel, Ensure.CREATE)


class SwallowsWhatHasNoChannel(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        if channel in self._channels:
            await super().publish(channel, events)


class BrowsesByTakingOut(Embedded):
    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        found = await super().browse(channel, after=after, limit=limit)
        await self.remove(channel, [stored.position for stored in found])
        return found


class RemovesNothing(Embedded):
    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        return len(positions)


class NeverBehind(Embedded):
    async def backlog(self, channel: str, group: str) -> Backlog:
        return Backlog(0, None)


class LeavesTasksBehind(Embedded):
    left: ClassVar[list[asyncio.Task[bool]]] = []

    async def open(self) -> None:
        await super().open()
        self.left.append(asyncio.create_task(asyncio.Event().wait()))


class ChecksNothing(Embedded):
    async def check(self) -> list[Any]:
        return []


class HandsOutToEachMember(Embedded):
    """Every member is a group of its own."""

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        self.members = getattr(self, "members", 0) + 1
        return await super().subscribe(channel, f"{group}-{self.members}", start)


class AcknowledgesBeforeDurable(Embedded):
    """Keeps what is published in memory, and writes it down when somebody comes to read."""

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        self.buffer = [*getattr(self, "buffer", []), (channel, events)]

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        subscription = await super().subscribe(channel, group, start)
        buffer, self.buffer = getattr(self, "buffer", []), []
        for where, events in buffer:
            await super().publish(where, events)
        return subscription

    async def close(self) -> None:
        self.buffer = []
        await super().close()


class VerifiesWithoutLooking(Embedded):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        return [] if mode is Ensure.VERIFY else await super().ensure(channel, mode)


class FindsWhatIsNotThere(Embedded):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        drifts = await super().ensure(channel, mode)
        return [*drifts, Drift(channel.name, "size", "1", "2")] if mode is Ensure.VERIFY else drifts


class MakesAnew(Embedded):
    """Whatever was in a channel is gone when it is ensured again."""

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        drifts = await super().ensure(channel, mode)
        if mode is Ensure.CREATE:
            positions = [stored.position for stored in await self.browse(channel.name, after=None, limit=100)]
            await self.remove(channel.name, positions)
        return drifts


class KnowsOnlyWhatItEnsured(Embedded):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        if mode is Ensure.CREATE:
            self.ensured = True
        return await super().ensure(channel, mode)

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        if not getattr(self, "ensured", False):
            raise ChannelGone(channel)
        await super().publish(channel, events)


class GroupsBeginAtTheEnd(Embedded):
    """What was published before a group's first subscription is not for it."""

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        subscription = await super().subscribe(channel, group, start)
        if not hasattr(self, "seen"):
            self.seen = await subscription.receive(100)
            await subscription.settle(self.seen)
        return subscription


class BeginsWhereItIsTold(Embedded):
    """Also where the group has long begun."""

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        subscription = await super().subscribe(channel, group, start)
        if start.at == "latest":
            await subscription.settle(await subscription.receive(100))
        return subscription


class PublishesWhenClosed(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        with suppress(TransportError):
            await super().publish(channel, events)


class OpensOnce(Embedded):
    async def open(self) -> None:
        if getattr(self, "opened", False):
            raise ConnectionLost("it has been used")
        self.opened = True
        await super().open()


class ChecksLoudly(Embedded):
    async def check(self) -> list[Check]:
        if self._writer is None:
            raise ConnectionLost("open it first")
        return await super().check()


class BrowsesOnePage(Embedded):
    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        return [] if after else await super().browse(channel, after=after, limit=limit)


class EmptiesWhatItCloses(Embedded):
    """Dead letters are kept as long as it is open."""

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, events)
        self.used = channel

    async def close(self) -> None:
        if hasattr(self, "used") and self._writer is not None:
            found = await self.browse(self.used, after=None, limit=100)
            await self.remove(self.used, [stored.position for stored in found])
        await super().close()


class MakesSomethingOfNothing(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, events or [Event.new(type="empty", source="/", id="nothing")])


class ForgetsHeaders(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, [Event(event.attributes, event.data, event.kinds) for event in events])


class LeavesThreadsBehind(Embedded):
    left: ClassVar[list[threading.Event]] = []

    async def open(self) -> None:
        await super().open()
        self.left.append(end := threading.Event())
        threading.Thread(target=end.wait, daemon=True).start()


class LeavesFilesOpen(Embedded):
    left: ClassVar[list[socket.socket]] = []

    async def open(self) -> None:
        await super().open()
        self.left.append(socket.socket())


class LogsEvents(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, events)
        logging.getLogger("liar").info("stored %s", [event.data for event in events])


class BlocksTheLoop(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        time.sleep(0.1)  # as a client without an event loop does
        await super().publish(channel, events)


class TellsItsSecret(Embedded):
    def __repr__(self) -> str:
        return f"<TellsItsSecret password={PASSWORD}>"


def with_subscription(lie: type[Lying]) -> type[Embedded]:
    return type(lie.__name__, (Embedded,), {"subscription": lie})


def declaring(**values: Any) -> type[Embedded]:
    return type(f"Declares {values}", (Embedded,), {"capabilities": replace(CAPABILITIES, **values)})


# ── lies that show when something breaks ─────────────────────────────────────────────────────────


class Networked(NetworkedTransport):
    """The honest one, with one point to lie at."""

    patience = 0.7
    subscription: Callable[[NetworkedSubscription], Any] = lambda honest: honest

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return type(self).subscription(await super().subscribe(channel, group, start))


class LyingAfar:
    """An honest subscription of the networked transport, to be lied about."""

    def __init__(self, honest: NetworkedSubscription) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)


class SettlesEarly(LyingAfar):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = await self._honest.receive(limit)
        await self._honest.settle(found)
        return found


class WaitsInSilence(LyingAfar):
    """A consumer that nobody tells that its connection is gone."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        try:
            return await self._honest.receive(limit)
        except ConnectionLost:
            await asyncio.sleep(0.1)
            return ()


class AcknowledgesUnanswered(Networked):
    """What was sent must have arrived."""

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        with suppress(ConnectionLost):
            await self._ask("publish", channel, events)


class AcknowledgesWhatItBuffers(Networked):
    """Publishes go to the server one call late, and with the transport they are gone."""

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        late, self.buffer = getattr(self, "buffer", []), [(channel, events)]
        for one in late:
            await super().publish(*one)

    async def close(self) -> None:
        self.buffer = []
        await super().close()


class CallsUnknownFailed(Networked):
    """No answer means no, it says."""

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        try:
            await self._ask("publish", channel, events)
        except Unanswered as error:
            raise ConnectionLost(str(error)) from error


class ClosesForEver(Networked):
    async def close(self) -> None:
        main = self._main
        await super().close()
        if main is not None:
            with suppress(TransportError):
                await (await self._connect(first=False)).close()
                return
            await asyncio.sleep(100)


class AlwaysFine(Networked):
    async def check(self) -> list[Check]:
        return [replace(finding, ok=True) for finding in await super().check()]


class NamesNothing(Networked):
    """Everything is the same kind of error."""

    async def open(self) -> None:
        try:
            await super().open()
        except TransportError as error:
            raise TransportError(str(error)) from error


class NeverGivesUp(Networked):
    """It opens sooner or later, and tells nobody."""

    async def open(self) -> None:
        while True:
            try:
                return await super().open()
            except TransportError:
                await asyncio.sleep(0.1)


class TellsThePassword(Networked):
    async def open(self) -> None:
        try:
            await super().open()
        except TransportError as error:
            raise type(error)(f"{error} ({self._password})") from error


class PermitsNothingQuietly(Networked):
    """What it may not do it leaves out."""

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        with suppress(NotPermitted):
            return await super().ensure(channel, mode)
        return []

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        with suppress(NotPermitted):
            await super().publish(channel, events)


class HidesDrift(Networked):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        await super().ensure(channel, mode)
        return []


class RaisesDrift(Networked):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        drifts = await super().ensure(channel, mode)
        if drifts and mode is Ensure.CREATE:
            raise ChannelGone("PRECONDITION_FAILED")
        return drifts


def afar(lie: type[LyingAfar]) -> type[Networked]:
    return type(lie.__name__, (Networked,), {"subscription": lie})
