"""The embedded transport: the contract over one SQLite file."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from mesh_gateway.errors import ChannelGone, InvalidEvent, StoreDamaged, StoreFull, TransportError
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    Backlog,
    Capabilities,
    ChannelSpec,
    Check,
    Drift,
    Ensure,
    Level,
    Start,
    Stored,
    TransportContext,
)
from mesh_gateway.transport.embedded.channel import Channel, Group
from mesh_gateway.transport.embedded.cursor import Change, Cursor
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.store import Row, Store
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.writer import Writer
from mesh_gateway.wire import stored

FILE = "mesh.db"

FLUSH_SECONDS = 0.05
"""Settles wait this long for a publish to share a commit with; then they commit by themselves. At
full load they always share. A crash before it makes them come again, which is allowed."""

EXPIRE_ROWS = 2_000
"""Settled rows removed in one round: about 4 ms of the writer's time, so that no publish waits longer."""

EXPIRE_SECONDS = 1.0

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
    """Implements `Transport`, `Browsable`, `Removable` and `Measurable`. For one event loop."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        options: EmbeddedOptions,
        context: TransportContext,
        *,
        open_store: Callable[[Path | None], Store] = Store,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._context = context
        self._open_store = open_store
        self._clock = clock
        self._now = now
        self._channels: dict[str, Channel] = {}
        self._writer: Writer | None = None
        self._lock: IO[str] | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._expired_at = 0.0

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """As `Transport.open`. Raises `StoreDamaged` when the file is damaged, foreign or in use."""
        directory = self._context.state_directory
        if directory is not None:
            self._take_lock(directory)
        path = None if directory is None else directory / FILE
        ballast = None if directory is None else directory / "reserve"
        writer = Writer(lambda: self._open_store(path), ballast=ballast, on_fatal=self._context.on_fatal)
        try:
            await writer.open()
            channels = await writer.read(lambda store: store.channels())
        except TransportError:
            self._release_lock()
            raise
        self._writer = writer
        self._channels = {}
        for known in channels:
            channel = self._channels[known.name] = Channel(known.id, known.name, known.first, known.last)
            for name, (watermark, beyond) in known.groups.items():
                channel.groups[name] = Group(name, Cursor(watermark, beyond))

    async def close(self) -> None:
        """As `Transport.close`: settles are flushed, the file is checkpointed."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        changes = self._changes()
        try:
            if changes:
                await writer.write(lambda store: _advance(store, changes))
        except TransportError:
            pass  # the store has failed: what was settled comes again
        finally:
            await writer.close()
            self._release_lock()

    async def check(self) -> list[Check]:
        """As `Transport.check`."""
        directory = self._context.state_directory
        if directory is None:
            return [Check("store", Level.CONNECT, True, "in memory: gone when the process ends")]  # noqa: FBT003
        writable = os.access(directory if directory.exists() else directory.parent, os.W_OK)
        hint = (
            "" if writable else f"make {directory} writable for this user, or give --state another directory"
        )
        detail = f"{directory / FILE}" if writable else f"{directory} cannot be written"
        return [Check("state directory", Level.PERMISSION, writable, detail, hint)]

    def _take_lock(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = (directory / "lock").open("a+")
        except OSError as error:
            raise StoreDamaged(f"the state directory {directory} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StoreDamaged(
                f"{directory} is in use by another gateway (process {holder}); stop it, or give --state another directory"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """As `Transport.ensure`."""
        if mode is Ensure.OFF:
            return []
        known = self._channels.get(channel.name)
        if known is None:
            if mode is Ensure.VERIFY:
                raise ChannelGone(f"{channel.name} does not exist in the embedded store")
            known = await self._create(channel.name)
        missing = [group for group in channel.groups if group not in known.groups]
        if mode is Ensure.VERIFY:
            return [Drift(channel.name, "group", group, "absent") for group in missing]
        for group in missing:
            await self._create_group(known, group, known.first - 1)
        return []

    async def _create(self, name: str) -> Channel:
        id = await self._live().write(lambda store: store.create_channel(name), needs_room=True)
        return self._channels.setdefault(name, Channel(id, name, 1, 0))

    async def _create_group(self, channel: Channel, name: str, watermark: int) -> Group:
        group = channel.groups.get(name)
        if group is None:
            await self._live().write(
                lambda store: store.create_group(channel.id, name, watermark), needs_room=True
            )
            group = channel.groups.setdefault(name, Group(name, Cursor(watermark)))
        return group

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`: when it returns, the fsync of the batch has."""
        home = self._home(channel)
        writer = self._live()
        self._submit_changes(writer)
        at = self._now()
        rows = [stored.encode(event) for event in events]
        limit = self._options.max_bytes

        def commit(store: Store) -> None:
            if store.used_bytes > limit and not _make_room(store, self._removable(float("inf")), limit):
                raise StoreFull(f"the store holds its {limit} bytes (maxBytes)", retry_after=1)
            first = home.given + 1
            store.append(home.id, [(first + i, at, body) for i, body in enumerate(rows)])
            home.given += len(rows)

        def undo() -> None:
            home.given -= len(rows)

        def ended(publishing: asyncio.Future[None]) -> None:
            # Also when nobody waits any more: what is durable is handed out.
            if publishing.exception() is None:
                home.committed(at, events, [len(body) for body in rows])

        publishing = writer.submit(commit, needs_room=True, undo=undo)
        publishing.add_done_callback(ended)
        await asyncio.shield(publishing)

    async def subscribe(self, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        """As `Transport.subscribe`."""
        home = self._home(channel)
        known = home.groups.get(group)
        if known is None:
            known = await self._create_group(home, group, await self._watermark(home, start))
        if not any(g.members for g in home.groups.values()):
            home.tail.clear(home.last + 1)
        return EmbeddedSubscription(
            home,
            known,
            read=self._read,
            unreadable=self._set_aside,
            changed=self._settled,
            clock=self._clock,
        )

    async def _watermark(self, channel: Channel, start: Start) -> int:
        """The number before the first that a new group is to get."""
        if start.at == "latest":
            return channel.last
        if start.at == "earliest":
            return channel.first - 1
        if start.at == "timestamp":
            moment = start.timestamp or 0.0
            found = await self._live().read(lambda store: store.first_after(channel.id, moment))
            return channel.last if found is None else found - 1
        return max(channel.first - 1, min(_number(start.position or "0") - 1, channel.last))

    # ── looking in from outside ──────────────────────────────────────────────────────────────

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        """As `Browsable.browse`; damaged rows are set aside on the way."""
        home = self._home(channel)
        found: list[Stored] = []
        for number, at, body in await self._read(home, _number(after or "0"), limit):
            try:
                found.append(Stored(str(number), stored.decode(body), at))
            except InvalidEvent as error:
                await self._set_aside(home, number, str(error))
        return found

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        """As `Removable.remove`."""
        home = self._home(channel)
        numbers = [_number(position) for position in positions]
        for group in home.groups.values():
            group.cursor.settle(numbers)
        changes = self._changes()

        def job(store: Store) -> int:
            _advance(store, changes)
            return store.remove(home.id, numbers, home.given)

        return await self._live().write(job)

    async def backlog(self, channel: str, group: str) -> Backlog:
        """As `Measurable.backlog`; of a channel without that group, all that is in it."""
        home = self._channels.get(channel)
        if home is None:
            return Backlog(0, None)
        known = home.groups.get(group)
        if known is None:
            count, oldest = await self._live().read(lambda store: store.count(home.id))
            return Backlog(count, None if oldest is None else max(0.0, self._now() - oldest))
        events = known.cursor.unsettled_up_to(home.last)
        if not events:
            return Backlog(0, None)
        rows = await self._read(home, known.cursor.watermark, 1)
        return Backlog(events, max(0.0, self._now() - rows[0][1]) if rows else None)

    # ── the file ─────────────────────────────────────────────────────────────────────────────

    async def _read(self, channel: Channel, after: int, limit: int) -> list[Row]:
        return await self._live().read(lambda store: store.read(channel.id, after, limit))

    async def _set_aside(self, channel: Channel, number: int, why: str) -> None:
        """A damaged row: its bytes go into quarantine, every group is done with it."""
        for group in channel.groups.values():
            group.cursor.settle([number])
        changes = self._changes()

        def job(store: Store) -> None:
            store.quarantine(channel.id, channel.name, number, why)
            _advance(store, changes)

        await self._live().write(job)
        self._context.on_unreadable(channel.name, why)

    def _settled(self) -> None:
        """Something was settled: write it with the next publish, or soon."""
        if self._flush is None and self._writer is not None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        if self._writer is not None:
            self._submit_changes(self._writer)

    def _submit_changes(self, writer: Writer) -> None:
        """Hand progress and what may be removed to the writer; a publish of the same turn shares the commit."""
        changes = self._changes()
        expire = self._expiry()
        if not (changes or expire):
            return

        def job(store: Store) -> None:
            _advance(store, changes)
            for channel_id, up_to, before in expire:
                store.expire(channel_id, up_to, before, EXPIRE_ROWS)

        def ended(writing: asyncio.Future[None]) -> None:
            # A failed store ends the process, and what was settled comes again; a full disk does not.
            if isinstance(writing.exception(), StoreFull):
                self._again(changes)

        writer.submit(job).add_done_callback(ended)

    def _again(self, changes: _Changes) -> None:
        """The disk was full even for this: it is still to be written."""
        for channel_id, name, change in changes:
            for channel in self._channels.values():
                if channel.id == channel_id:
                    channel.groups[name].cursor.put_back(change)
        self._settled()

    def _changes(self) -> _Changes:
        return [
            (channel.id, group.name, group.cursor.take())
            for channel in self._channels.values()
            for group in channel.groups.values()
            if group.cursor.dirty
        ]

    def _expiry(self) -> list[tuple[int, int, float]]:
        """What may be removed by now, asked for at most once a second."""
        now = self._clock()
        if now - self._expired_at < EXPIRE_SECONDS:
            return []
        self._expired_at = now
        return self._removable(self._now() - self._options.retention)

    def _removable(self, before: float) -> list[tuple[int, int, float]]:
        """(channel, up to which number, came before) of what every group has settled."""
        return [
            (c.id, c.settled_by_all, before) for c in self._channels.values() if c.settled_by_all >= c.first
        ]

    def _home(self, channel: str) -> Channel:
        home = self._channels.get(channel)
        if home is None:
            raise ChannelGone(f"{channel} does not exist in the embedded store; ensure it first")
        return home

    def _live(self) -> Writer:
        if self._writer is None:
            raise StoreDamaged("the embedded store is not open")
        return self._writer


_Changes = list[tuple[int, str, Change]]


def _advance(store: Store, changes: _Changes) -> None:
    for channel, group, change in changes:
        store.advance(channel, group, change.watermark, change.beyond)


def _make_room(store: Store, expire: list[tuple[int, int, float]], limit: int) -> bool:
    for channel, up_to, before in expire:
        store.expire(channel, up_to, before, EXPIRE_ROWS)
    return store.used_bytes <= limit


def _number(position: str) -> int:
    if not position.isdecimal():
        raise ChannelGone(f"{position!r} is not a position of the embedded store")
    return int(position)
