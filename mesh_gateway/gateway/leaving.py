"""How parts of a running gateway go: what is under way ends, the rest stays in its channels, and nothing else notices.

Each of these is a task of its own (`Tasks.let_go`). Cancelled (the whole gateway stops) they end what they hold as a stop does: without
an end, so that it comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from mesh_gateway.broker.reader import Reader
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.errors import TransportError
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.relay import Relay
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import BrokerParts, Parts
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import SHARED, Measurable

log = structlog.get_logger("mesh_gateway.reload")

REJOIN_SECONDS = 2.0
"""For what a reader has received to end before another one takes its place: nearly all of it does in less, and a
subscriber that is stuck must not keep the broker from being read. What is left comes again."""

Task = asyncio.Task[None]
Work = Callable[[], Awaitable[None]]
Running = Mapping[Any, Task]
"""Of each part that runs, its task."""


@dataclass(frozen=True, slots=True)
class GoingPart:
    """A part that can go by itself, and its own reader with it."""

    what: Sequence[object]
    names: Sequence[str]
    work: Callable[[Running, float], Work]
    """From the tasks and the grace to what lets it go."""


@dataclass(frozen=True, slots=True)
class Going:
    """What of the old parts is not among the new ones: the first to go, and what is needed until those have gone."""

    first: Sequence[GoingPart]
    receivers: Sequence[Receiver]
    channels: Sequence[tuple[Link, Channel]]
    links: Sequence[Link]

    @property
    def last(self) -> list[object]:
        """What goes when the first have gone."""
        return [*self.receivers, *(channel for _, channel in self.channels), *self.links]

    async def finish(self, running: Running, grace: float) -> None:
        """Let the last go, in the order of the flow."""
        await end([running[receiver] for receiver in self.receivers])
        for link, channel in self.channels:
            await channel_leaves(link, channel, running[channel], grace=grace)
        await end([running[link] for link in self.links])


def going(old: Parts, new: Parts, running: Running) -> Going:
    """What has to go when `new` takes the place of `old`."""
    readers = {reader for home in new.brokers.values() for reader in home.readers}
    gone = [
        (home, reader)
        for home in old.brokers.values()
        for reader in home.readers
        if reader not in readers and reader in running
    ]
    first = [*_triggers(old, new, running, gone), *_relays(old, new, running)]
    with_triggers = {what for part in first for what in part.what}
    brokers = {home.broker for home in new.brokers.values()}
    first += [
        _reader(reader, stays=home.broker in brokers) for home, reader in gone if reader not in with_triggers
    ]
    receivers = {home.receiver for home in new.brokers.values()}
    channels = {channel for _, channel in new.channels.values()}
    return Going(
        first,
        [r for home in old.brokers.values() if (r := home.receiver) and r not in receivers and r in running],
        [
            (link, channel)
            for link, channel in old.channels.values()
            if channel not in channels and channel in running
        ],
        [link for link in old.links.values() if link not in new.links.values() and link in running],
    )


def _triggers(
    old: Parts, new: Parts, running: Running, readers: Sequence[tuple[BrokerParts, Reader]]
) -> Iterator[GoingPart]:
    for key, trigger in old.triggers.items():
        if new.triggers.get(key) is trigger or trigger not in running:
            continue
        link = old.brokers[trigger.broker].link
        own = next(
            (reader for _, reader in readers if reader.gate is trigger.gate and reader.group != SHARED), None
        )
        now = new.spec.triggers.get(key)
        catches_up = now is not None and now.broker == trigger.broker and now.read == "shared"
        names = [f"trigger {key}"] + ([] if own is None else [f"reader {own.broker} {own.group}"])
        yield GoingPart(
            [trigger] if own is None else [trigger, own],
            names,
            partial(_trigger_work, trigger, own, link, catches_up),
        )


def _trigger_work(
    trigger: Trigger, own: Reader | None, link: Link, catches_up: bool, running: Running, grace: float
) -> Work:
    reader = None if own is None else (own, running[own])
    return partial(
        trigger_leaves, trigger, running[trigger], reader, catches_up=catches_up, link=link, grace=grace
    )


def _relays(old: Parts, new: Parts, running: Running) -> Iterator[GoingPart]:
    staying = {one.relay for one in new.relays.values()}
    for key, one in old.relays.items():
        if one.relay not in staying and one.relay in running:
            yield GoingPart([one.relay], [f"relay {key}"], partial(_relay_work, one.relay))


def _relay_work(relay: Relay, running: Running, grace: float) -> Work:
    return partial(relay_leaves, relay, running[relay], grace=grace)


def _reader(reader: Reader, *, stays: bool) -> GoingPart:
    """`stays`: its broker does, so that another reader waits for its place, and its triggers hold what it has received."""

    def work(running: Running, grace: float) -> Work:
        # The triggers of a broker that goes have the grace, and what parking takes besides.
        return partial(reader_leaves, reader, running[reader], grace=REJOIN_SECONDS if stays else 2 * grace)

    return GoingPart([reader], [f"reader {reader.broker} {reader.group}"], work)


async def trigger_leaves(
    trigger: Trigger,
    task: Task,
    reader: tuple[Reader, Task] | None,
    *,
    catches_up: bool,
    link: Link,
    grace: float,
) -> None:
    """Attempts under way end, for at most `grace` seconds; all else is parked, for a trigger of this name.

    `reader`: its own, which goes with it. `catches_up`: another trigger takes over from the broker's shared reader, so
    that what its own group has not read yet is delivered first.
    """
    try:
        if reader is not None:
            if catches_up:
                await caught_up(reader[0], link, grace)
            reader[0].stop()
        trigger.leave()
        try:
            async with asyncio.timeout(grace):
                await trigger.left()
        except TimeoutError:
            await trigger.cut()
            await trigger.left()
        log.info("a trigger has left", trigger=trigger.key)
    finally:
        trigger.stop()
        await trigger.close()
        await end([task] if reader is None else [task, reader[1]])


async def called_off(trigger: Trigger, grace: float) -> None:
    """A trigger that was offered events and does not run after all: attempts under way end, for at most `grace` seconds.

    Its copies stay in its group, or are those of the trigger that goes on.
    """
    trigger.stop()
    try:
        async with asyncio.timeout(grace):
            await trigger.idle()
    except TimeoutError:
        log.warning("attempts were cut off; their events come again", trigger=trigger.key)
    finally:
        await trigger.close()


async def caught_up(reader: Reader, link: Link, patience: float) -> None:
    """Returns once the reader has received what was waiting for its group when it was asked; at once where none can tell.
    Or when nothing has come for `patience` seconds: what waited may have gone to another gateway of the group.
    """
    if not link.up.is_set() or not isinstance(link.transport, Measurable):
        return
    try:
        waiting = (await link.transport.backlog(reader.channel.name, reader.group)).events
    except TransportError:
        return
    enough = reader.received + waiting - reader.outstanding
    before = -1
    while before < reader.received:
        before = reader.received
        try:
            async with asyncio.timeout(patience):
                await reader.has_received(enough)
        except TimeoutError:
            continue
        return
    log.warning(
        "a group was not read to its end; the rest stays in it", broker=reader.broker, group=reader.group
    )


async def reader_leaves(reader: Reader, task: Task, *, grace: float) -> None:
    """It receives nothing more, and goes when what it has received is settled; what is not after `grace` comes again."""
    try:
        reader.stop()
        async with asyncio.timeout(grace):
            await reader.settled()
    except TimeoutError:
        log.warning(
            "a reader left events unsettled; they come again", broker=reader.broker, group=reader.group
        )
    finally:
        await end([task])


async def relay_leaves(relay: Relay, task: Task, *, grace: float) -> None:
    """A transfer under way ends, for at most `grace` seconds; what has no verdict stays in its group."""
    try:
        async with asyncio.timeout(grace):
            await relay.parking.arrived()  # copied by the shared reader, which will not copy it again
            relay.stop()
            await relay.idle()
    except TimeoutError:
        log.warning("a transfer was cut off; its events come again", relay=relay.key)
    finally:
        relay.stop()
        await relay.close()
        await end([task])


async def channel_leaves(link: Link, channel: Channel, task: Task, *, grace: float) -> None:
    """What is being published ends, then the channel is closed."""
    try:
        if channel.up:
            async with asyncio.timeout(grace):
                await channel.flushed()
    except TimeoutError:
        log.warning("a publish did not end in time; its outcome is unknown", channel=channel.name)
    finally:
        link.leave(channel)
        await end([task])


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel these and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
