"""What runs: a supervised task for each link, channel, reader, trigger, relay and receiver, and how they stop.

Stopping follows the flow of events, so that nothing is cut off from its way out:

    readers and relays receive no more ─▶ deliveries and transfers under way end, for ¾ of the grace
        ─▶ what has ended is settled ─▶ channels flush ─▶ transports close

What has not ended by then stays unsettled in its channel and comes again at the next start.

A change while it runs (`change`) starts what is new before it lets go of what is old (`leaving.py`), and does not touch
what stays. Whose task is whose, and who waits for whom to begin, is in `tasks.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import structlog

from mesh_gateway.broker.reader import Reader
from mesh_gateway.delivery.replaced import Replaced
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.relay import Relay
from mesh_gateway.gateway.leaving import Going, Work, called_off, end, going
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import Assembled, BrokerParts, Parts
from mesh_gateway.gateway.removed import Removed
from mesh_gateway.gateway.supervise import Part, summary
from mesh_gateway.gateway.tasks import Tasks
from mesh_gateway.transport.channel import Channel

log = structlog.get_logger("mesh_gateway.mesh")

DELIVERIES_SHARE = 0.75
"""Of the grace, for deliveries to end; the rest is for settling and closing."""


class Mesh:
    """Runs the parts of one gateway. `run` has one owner; `stop` may be called from anywhere, `change` while it runs."""

    def __init__(self, parts: Parts, *, grace: float) -> None:
        self.parts = parts
        self.grace = grace
        self._tasks = Tasks()
        self.supervised = self._tasks.supervised
        self.beside: list[Part] = []
        """What runs beside all this: it can be seen, and a gateway without it serves all the same."""
        self.removed = Removed()
        self._stop = asyncio.Event()
        self._new: set[object] = set()
        """What a change has brought and has not begun yet."""

    def stop(self) -> None:
        """Begin to stop; `run` returns when everything has."""
        self._stop.set()

    async def run(self) -> None:
        """Run everything until `stop`, then stop in order."""
        async with asyncio.TaskGroup() as group:
            self._tasks.group = group
            for link in self.parts.links.values():
                self._start(link, f"transport {link.name}", link.run)
            for _, channel in self.parts.channels.values():
                self._start(channel, f"channel {channel.name}", channel.run)
            self._start_missing()
            await self._stop.wait()
            await self._finish_deliveries()
            for kind in (Reader, Trigger, Relay, Receiver):
                await self._tasks.end(kind)
            await self._flush()
            await self._tasks.end(Channel)
            await self._tasks.end(Link)

    # ── starting ─────────────────────────────────────────────────────────────────────────────

    def _start_missing(self) -> None:
        """Everything of the parts that does not run yet, except links and channels; readers last."""
        for home in self.parts.brokers.values():
            for trigger in home.triggers:
                self._start_trigger(trigger, home)
        for one in self.parts.relays.values():
            relay = one.relay
            needs = [relay.channel, relay.parking.channel]
            self._start(relay, f"relay {relay.key}", one.home.link.while_up(relay.run), needs)
        for home in self.parts.brokers.values():
            if home.receiver is not None:
                self._start(home.receiver, f"receiver {home.spec.key}", home.receiver.run)
        for home in self.parts.brokers.values():
            for reader in home.readers:
                self._start_reader(reader, home)

    def _start_trigger(self, trigger: Trigger, home: BrokerParts) -> None:
        needs = [trigger.parking.channel, home.dead_letters]
        self._start(trigger, f"trigger {trigger.key}", home.link.while_up(trigger.run), needs)

    def _start_reader(self, reader: Reader, home: BrokerParts) -> None:
        name = f"reader {reader.broker} {reader.group}"
        self._start(reader, name, home.link.while_up(reader.run), [reader.channel])

    def _start(self, what: object, name: str, work: Work, needs: Iterable[Channel] = ()) -> None:
        # No longer than it takes; two at a time would share the group, so that is no more than untidy. Two transports
        # at a time would have one store open twice: each waits until the one before has closed, which has its own end.
        patience = None if isinstance(what, Link) else 2 * self.grace
        self._tasks.start(what, name, work, needs=needs, patience=patience)

    # ── changing ─────────────────────────────────────────────────────────────────────────────

    async def begin(self, made: Assembled, patience: float) -> bool:
        """Have the own readers begin of triggers that were shared until now, so that none misses an event at the change.

        False when they have not begun within `patience` seconds: then, or if this is cancelled, nothing is different
        from before.
        """
        dedicated = list(self._now_dedicated(made.parts))
        self._join(made.parts)
        for home, reader in dedicated:
            self._start_reader(reader, home)
        begun = False
        try:
            async with asyncio.timeout(patience):
                for _, reader in dedicated:
                    await reader.begun.wait()
            begun = True
        except TimeoutError:
            pass
        finally:
            if not begun:
                self._call_off(made)
        return begun

    def _now_dedicated(self, new: Parts) -> Iterator[tuple[BrokerParts, Reader]]:
        before = self.parts.spec.triggers
        for key, trigger in new.triggers.items():
            old = before.get(key)
            if old is None or (old.read, new.spec.triggers[key].read) != ("shared", "dedicated"):
                continue
            home = new.brokers[trigger.broker]
            yield from ((home, reader) for reader in home.readers if reader.gate is trigger.gate)

    def _call_off(self, made: Assembled) -> None:
        """These parts will not run: what has begun of them goes, and holds nobody back."""
        made.forget(self.parts)
        offered = [
            trigger
            for home in made.parts.brokers.values()
            for trigger in home.triggers
            if trigger not in self._tasks.running
            and any(reader in self._tasks.running for reader in home.readers if reader.gate is trigger.gate)
        ]
        self._leave(going(made.parts, self.parts, self._tasks.running))
        for trigger in offered:
            self._tasks.let_go([], [f"trigger {trigger.key}"], partial(called_off, trigger, self.grace))

    def change(self, made: Assembled) -> None:
        """Go over to these parts, all at once: what stays goes on untouched or adopts what differs, what is new starts,
        what is gone begins to leave.
        """
        old, new = self.parts, made.parts
        self._join(new)
        self._new = (members(new) - members(old)) | (self._new & members(new))
        replaced = [sink for change in made.in_place for sink in carried_out(change)]
        self.parts = new
        self.removed.note(old, new)
        for link in made.reopened:
            self._tasks.start_anew(link, f"transport {link.name}", link.run)
        for sink in replaced:
            self._tasks.start_closing(sink, "replaced sink", sink.close)
        self._leave(going(old, new, self._tasks.running))
        self._start_missing()

    def _join(self, new: Parts) -> None:
        """Start the links and channels that are new."""
        for link in new.links.values():
            self._start(link, f"transport {link.name}", link.run)
        for link, channel in new.channels.values():
            if channel not in self._tasks.running:
                work = partial(joined, link, channel, self._tasks.joins(channel))
                self._start(channel, f"channel {channel.name}", work)

    def _leave(self, going: Going) -> None:
        """Let these go, in the order of the flow: each by itself, and what they need after them."""
        ways = [
            self._tasks.let_go(one.what, one.names, one.work(self._tasks.running, self.grace))
            for one in going.first
        ]
        if going.last:
            names = [f"transport {link.name}" for link in going.links]

            async def after_them() -> None:
                # Another transport of the name waits for this one, which may be down, so that nothing can be parked in it.
                patience = 2 * self.grace if going.links else None
                if ways and (stuck := (await asyncio.wait(ways, timeout=patience))[1]):
                    log.warning(
                        "a transport goes before all that lay on it; what has no end stays in it",
                        transports=names,
                    )
                    await end(list(stuck))
                await going.finish(self._tasks.running, self.grace)

            self._tasks.let_go(going.last, names, after_them)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────

    async def _finish_deliveries(self) -> None:
        for reader in self._tasks.of(Reader):
            reader.stop()
        senders: list[Trigger | Relay] = [*self._tasks.of(Trigger), *self._tasks.of(Relay)]
        for sender in senders:
            sender.stop()
        try:
            async with asyncio.timeout(self.grace * DELIVERIES_SHARE):
                for sender in senders:
                    await sender.idle()
        except TimeoutError:
            left = sum(sender.held for sender in senders)
            log.warning("deliveries left unsettled; they come again at the next start", copies=left)
        await end(list(self._tasks.going))
        for sender in senders:
            await sender.close()
        await self._tasks.end(Replaced)

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(self.grace * (1 - DELIVERIES_SHARE)):
                for channel in self._tasks.of(Channel):
                    if channel.up:
                        await channel.flushed()
        except TimeoutError:
            log.warning("a publish did not end in time; its outcome is unknown")

    # ── what can be seen ─────────────────────────────────────────────────────────────────────

    async def connected(self) -> None:
        """Returns once every transport is connected: then events can be stored."""
        for link in self.parts.links.values():
            await link.up.wait()

    async def up(self) -> None:
        """Returns once every transport is connected and every reader has subscribed."""
        await self.connected()
        for reader in self.readers():
            await reader.begun.wait()
        for relay in self.relays():
            await relay.begun.wait()

    @property
    def ready(self) -> bool:
        """Every transport can make events durable, every group has begun, and no part has failed for good."""
        return (
            all(self._counts_as_begun(link, link.up) for link in self.parts.links.values())
            and all(self._counts_as_begun(reader, reader.begun) for reader in self.readers())
            and all(self._counts_as_begun(relay, relay.begun) for relay in self.relays())
            and not any(part.state == "failed" for part in self.supervised.values())
        )

    def _counts_as_begun(self, what: object, begun: asyncio.Event) -> bool:
        """What a change has brought does not make a gateway unready that serves: only once it has begun does it count."""
        if begun.is_set():
            self._new.discard(what)
            return True
        return what in self._new

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


async def joined(link: Link, channel: Channel, made: asyncio.Event) -> None:
    """Run a channel that comes to a transport which may be up already; `made` is set once it is there."""
    await link.up.wait()
    await link.join(channel)
    made.set()
    await channel.run()


def carried_out(change: Callable[[], Sequence[Replaced]]) -> Sequence[Replaced]:
    """One of the changes in place. None raises; but room for another attempt may start one at a plugin's sink."""
    try:
        return change()
    except Exception as error:  # a plugin's code; the other changes are done all the same
        log.error("a sink has failed", error=summary(error), exc_info=error)
        return ()


def members(parts: Parts) -> set[object]:
    """What has to begin before a gateway is ready."""
    readers = [reader for home in parts.brokers.values() for reader in home.readers]
    return {*parts.links.values(), *readers, *(one.relay for one in parts.relays.values())}
