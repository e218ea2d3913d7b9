"""The embedded transport: the contract over one SQLite file.

publish ─▶ encode ─▶ writer: one commit for whatever came together ─▶ durable ─▶ tail ─▶ receive
settle  ─▶ cursor ─▶ within 50 ms, sharing a commit if there is one ─▶ durable
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial

from mesh_gateway.errors import (
    ChannelGone,
    ConnectionLost,
    PublishError,
    StoreDamaged,
    TransportError,
    Unsupported,
)
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    Backlog,
    Capabilities,
    ChannelSpec,
    Check,
    Choose,
    Drift,
    Ensure,
    Level,
    Start,
    Stored,
    TransportContext,
)
from mesh_gateway.transport.embedded.channel import Channel
from mesh_gateway.transport.embedded.committer import Committer, Job
from mesh_gateway.transport.embedded.group import Clock, Group, Loaded
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.records import Page, load
from mesh_gateway.transport.embedded.store import Appended, Store, StoredChannel, StoredGroup
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.upkeep import Upkeep
from mesh_gateway.transport.embedded.writer import Writer, ended
from mesh_gateway.wire.stored import encode

ROW_BYTES = 32
"""What a row takes beside its record: id, moment, cell header."""

CAPABILITIES = Capabilities(
    ordering="channel",
    settle="individual",
    delay=float("inf"),
    lease=None,
    groups=True,
    seek=frozenset({"position", "timestamp"}),
    browse=True,
    measure=True,
    counts_attempts=False,
    dedup=None,
    max_event_bytes=None,
    max_batch=1_000,
)


class EmbeddedTransport:
    """Implements `Transport`, `Browsable`, `Removable`, `Measurable` and `Remembering`, for one event loop.

    After a failed write or sync `context.on_fatal` is called once, a publish that was under way
    raises `PublishError` (unknown), and everything else raises `StoreDamaged`: also `open`, so that
    no second try in this process takes for durable what may be lost.

    For tests: `clock` (monotonic; the event loop unless given) drives delays, flushes and removals,
    `now` gives the moments that are stored, and `open_store` may put the file on another SQLite VFS.
    """

    capabilities: Capabilities = CAPABILITIES
    """What this transport can do."""

    def __init__(
        self,
        options: EmbeddedOptions,
        context: TransportContext,
        *,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        open_store: Callable[..., Store] = Store,
    ) -> None:
        self._options = options
        self._context = context
        self._given_clock = clock
        self._now = now
        self._open_store = open_store
        self._clock: Clock
        self._upkeep: Upkeep
        self._committer: Committer
        self._writer: Writer | None = None
        self._failure: str | None = None
        self._channels: dict[str, Channel] = {}
        self._subscriptions: set[EmbeddedSubscription] = set()

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Open the file. Raises `StoreDamaged` when it is damaged, foreign or in use, `NotPermitted`."""
        self._refuse_if_failed()
        if self._writer is not None:
            return
        self._clock = self._given_clock or asyncio.get_running_loop()
        writer = Writer(self._open_committer, self._fail)
        try:
            stored = await writer.open()
        except BaseException:
            await writer.close()
            raise
        self._writer = writer
        self._upkeep = Upkeep(
            writer,
            self._channels,
            clock=self._clock,
            now=self._now,
            retention=self._options.retention,
            scarce=lambda: self._committer.space.scarce,
        )
        for channel in stored:
            self._known(channel)

    async def close(self) -> None:
        """Flush and close the file; subscriptions end. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        for subscription in tuple(self._subscriptions):
            subscription.leave()
        self._upkeep.stop()
        await writer.close()
        self._channels.clear()

    async def check(self) -> list[Check]:
        """Whether the state directory can be used, and, while open, how full the store is."""
        directory = self._context.state_directory
        found: list[Check] = []
        if directory is not None:
            nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
            allowed = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
            hint = (
                "" if allowed else f"make {nearest} writable for this user, or name another state directory"
            )
            found.append(Check("state directory", Level.PERMISSION, allowed, str(directory), hint))
        if self._writer is not None:
            found.insert(0, await self._check_store())
        return found

    async def _check_store(self) -> Check:
        try:
            used, _ = await self._serving().call("read", Store.usage)
        except TransportError as error:
            return Check("store", Level.CONNECT, ok=False, detail=str(error), hint="restart the gateway")
        home = "in memory: gone when the process ends; " if self._context.state_directory is None else ""
        detail = f"{home}{used} of {self._options.max_bytes} bytes in use, {len(self._channels)} channels"
        return Check("store", Level.CONNECT, ok=True, detail=detail)

    def _open_committer(self) -> Committer:
        """In the writer's thread."""
        open_store = partial(self._open_store, now=self._now)
        self._committer = Committer.open(self._context.state_directory, self._options.max_bytes, open_store)
        return self._committer

    def _fail(self, why: str) -> None:
        """A write or a sync has failed: nothing this process says of the file can be trusted any more."""
        if self._failure is None:
            self._failure = why
            self._context.on_fatal(why)
        for channel in self._channels.values():
            for group in channel.groups.values():
                group.wake()

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """As `Transport.ensure`; the channel's options mean nothing here."""
        writer = self._serving()
        if mode is Ensure.OFF:
            return []
        if mode is Ensure.VERIFY:
            groups = self._home(channel.name).groups
            return [
                Drift(channel.name, "group", wanted=group, found="absent", hint="ensure: create makes it")
                for group in channel.groups
                if group not in groups
            ]
        home = self._channels.get(channel.name)
        if home is None:
            home = self._known(await writer.call("write", lambda store: store.create_channel(channel.name)))
        for group in channel.groups:
            await self._group(home, group, EARLIEST)
        return []

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`: when it returns, the fsync of its commit has.

        Raises `StoreFull` (nothing stored), `PublishError` (unknown, after a failed write).
        """
        writer = self._serving()
        home = self._home(channel)
        if not events:
            return
        records = tuple(map(encode, events))
        sizes = list(map(len, records))
        ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tell = ended(ending)

        def done(where: Appended | None, error: TransportError | None) -> None:
            # Also when nobody waits any more: what is durable is handed out.
            if error is None and where is not None:
                home.committed(events, sizes, where)
            self._upkeep.relieve()
            tell(None, error)

        size = sum(sizes) + ROW_BYTES * len(sizes)
        writer.submit(Job("append", lambda store: store.append(home.id, records), done, size))
        try:
            await ending
        except StoreDamaged as error:
            raise PublishError(str(error), unknown=range(len(events))) from error

    async def publish_chosen(self, channel: str, choose: Choose, *, size: int) -> None:
        """As `Remembering.publish_chosen`. Raises as `publish`."""
        writer = self._serving()
        home = self._home(channel)
        ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tell = ended(ending)

        def work(store: Store) -> tuple[Sequence[Event], list[int], Appended | None]:
            events = choose(store.memory(home.id))
            records = tuple(map(encode, events))
            return events, list(map(len, records)), store.append(home.id, records) if records else None

        def done(
            what: tuple[Sequence[Event], list[int], Appended | None] | None, error: TransportError | None
        ) -> None:
            if error is None and what is not None:
                events, sizes, where = what
                if where is not None:
                    home.committed(events, sizes, where)
            self._upkeep.relieve()
            tell(None, error)

        writer.submit(Job("append", work, done, size))
        try:
            await ending
        except StoreDamaged as error:
            raise PublishError(str(error), unknown=(0,)) from error

    async def subscribe(self, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        """As `Transport.subscribe`. A position is one that was shown before; its event is included."""
        self._serving()
        _number(start.position or "0")
        known = await self._group(self._home(channel), group, start)
        subscription = EmbeddedSubscription(
            known,
            flush=self._upkeep.flushed,
            check=self._refuse_if_failed,
            left=self._subscriptions.discard,
        )
        self._subscriptions.add(subscription)
        return subscription

    # ── looking in from outside ──────────────────────────────────────────────────────────────

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        """As `Browsable.browse`. May give fewer than `limit` (large events); only the end gives none."""
        writer = self._serving()
        home = self._home(channel)
        first = 1 if after is None else _number(after) + 1
        while first <= home.head:
            page = await writer.call("read", self._loading(home, first, home.head, limit))
            self._report(home, page)
            if page.events:
                return [Stored(str(number), event, at) for number, at, event in page.events]
            first = page.through + 1
        return []

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        """As `Removable.remove`; for every group the events are settled."""
        writer = self._serving()
        home = self._home(channel)
        numbers = [number for number in map(_number, positions) if 1 <= number <= home.head]
        if not numbers:
            return 0
        ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        tell = ended(ending)

        def done(count: int, error: TransportError | None) -> None:
            if error is None:
                home.removed(numbers)
            tell(count, error)

        writer.submit(Job("write", lambda store: store.remove(home.id, numbers), done))
        return await ending

    async def backlog(self, channel: str, group: str) -> Backlog:
        """As `Measurable.backlog`; raises `ChannelGone` also for a group that does not exist."""
        writer = self._serving()
        home = self._home(channel)
        known = home.groups.get(group)
        if known is None:
            raise ChannelGone(f"{channel} has no group {group!r}")
        events = known.cursor.unsettled_up_to(home.head)
        if not events:
            return Backlog(0, None)
        number, _ = known.cursor.unsettled_from(0)
        oldest = await writer.call("read", lambda store: store.time_at(home.id, number))
        return Backlog(events, None if oldest is None else max(0.0, self._now() - oldest))

    # ── what is known of the file ────────────────────────────────────────────────────────────

    def _known(self, stored: StoredChannel) -> Channel:
        channel = self._channels.get(stored.name)
        if channel is None:
            channel = self._channels[stored.name] = Channel(stored)
            for group in stored.groups:
                self._known_group(channel, group)
        return channel

    def _known_group(self, channel: Channel, stored: StoredGroup) -> Group:
        group = channel.groups.get(stored.name)
        if group is None:
            group = channel.groups[stored.name] = Group(
                channel, stored, load=self._load, changed=self._upkeep.changed, clock=self._clock
            )
        return group

    async def _group(self, channel: Channel, name: str, start: Start) -> Group:
        known = channel.groups.get(name)
        if known is not None:
            return known
        work = partial(Store.create_group, channel=channel.id, name=name, start=start)
        return self._known_group(channel, await self._serving().call("write", work))

    def _home(self, channel: str) -> Channel:
        home = self._channels.get(channel)
        if home is None:
            raise ChannelGone(
                f"channel {channel} does not exist in the embedded store (ensure: create makes it)"
            )
        return home

    def _serving(self) -> Writer:
        self._refuse_if_failed()
        if self._writer is None:
            raise ConnectionLost("the embedded store is closed")
        return self._writer

    def _refuse_if_failed(self) -> None:
        if self._failure is not None:
            raise StoreDamaged(self._failure)

    # ── reading from the file ────────────────────────────────────────────────────────────────

    def _load(self, channel: Channel, first: int, last: int, limit: int, loaded: Loaded) -> None:
        """A group has to read what is not in memory."""
        if self._writer is None:
            return

        def done(page: Page | None, error: TransportError | None) -> None:
            if page is not None:
                self._report(channel, page)
            loaded(page, error)

        self._writer.submit(Job("read", self._loading(channel, first, last, limit), done))

    def _loading(self, channel: Channel, first: int, last: int, limit: int) -> Callable[[Store], Page]:
        return partial(load, channel=channel.id, name=channel.name, first=first, last=last, limit=limit)

    def _report(self, channel: Channel, page: Page) -> None:
        for why in page.unreadable:
            self._context.on_unreadable(channel.name, why)


def _number(position: str) -> int:
    """The number that a position names. Raises `Unsupported` for what is no position of ours."""
    if not (position.isascii() and position.isdecimal()):
        raise Unsupported(f"{position!r} is no position of the embedded store; positions are decimal numbers")
    return int(position)
