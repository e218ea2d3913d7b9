"""What goes on beside publishing: writing down what was settled, removing what everybody has settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from mesh_gateway.errors import StoreFull, TransportError
from mesh_gateway.transport.embedded.channel import Channel
from mesh_gateway.transport.embedded.committer import Job
from mesh_gateway.transport.embedded.group import Clock, Group, Timer
from mesh_gateway.transport.embedded.store import Purged, Store
from mesh_gateway.transport.embedded.writer import Writer, ended

FLUSH_SECONDS = 0.05
"""Settles wait this long for company: twenty commits a second cost 0.2 % of a core, and a crash makes
no more than this much come again."""

PURGE_SECONDS = 1.0
"""How often the channels are looked through, which costs 0.3 µs each."""

PURGE_EVENTS = 512
"""Removed in one commit: about 1 ms of it, and more than a commit adds under any load measured."""

RELIEF_SECONDS = 0.1
"""How often the channels are looked through for want of space, while many a publish asks for it."""


class Upkeep:
    """Made with an open writer; `stop` before the writer is closed."""

    def __init__(
        self,
        writer: Writer,
        channels: Mapping[str, Channel],
        *,
        clock: Clock,
        now: Callable[[], float],
        retention: float,
        scarce: Callable[[], bool],
    ) -> None:
        self._writer = writer
        self._channels = channels
        self._clock = clock
        self._now = now
        self._retention = retention
        self._scarce = scarce
        self._changed: set[Group] = set()
        self._flush_timer: Timer | None = None
        self._relieved_at = float("-inf")
        self._purge_timer = clock.call_at(clock.time() + PURGE_SECONDS, self._purge_in_turn)

    def stop(self) -> None:
        """Hand over what was settled; nothing more is done from now on."""
        self._purge_timer.cancel()
        self._flush()
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        self._channels = {}

    # ── settles ──────────────────────────────────────────────────────────────────────────────

    def changed(self, group: Group) -> None:
        """A group has settled something: write it soon."""
        if not group.cursor.changed:
            return
        self._changed.add(group)
        if self._flush_timer is None:
            self._flush_timer = self._clock.call_at(self._clock.time() + FLUSH_SECONDS, self._flush)

    async def flushed(self) -> None:
        """Returns when everything settled by now is durable. Raises `TransportError`."""
        ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._write_changes(ended(ending)):
            await ending

    def _flush(self) -> None:
        self._flush_timer = None
        self._write_changes(lambda result, error: None)

    def _write_changes(self, tell: Callable[[None, TransportError | None], None]) -> bool:
        """Whether there was anything to write; `tell` is told when it is written."""
        groups, self._changed = self._changed, set()
        if not groups:
            return False
        changes = [(group.id, group.cursor.change()) for group in groups]

        def work(store: Store) -> None:
            for group, change in changes:
                store.save(group, change)

        def done(result: None, error: TransportError | None) -> None:
            if isinstance(error, StoreFull):
                for group in groups:
                    group.cursor.unsaved()
                    self.changed(group)
            self.relieve()
            tell(result, error)

        self._writer.submit(Job("write", work, done))
        return True

    # ── room ─────────────────────────────────────────────────────────────────────────────────

    def relieve(self) -> None:
        """If space is scarce, remove what is settled whatever its retention."""
        if not self._scarce():
            return
        now = self._clock.time()
        if now - self._relieved_at >= RELIEF_SECONDS:
            self._relieved_at = now
            self._purge_all(float("inf"))

    def _purge_in_turn(self) -> None:
        self._purge_all(self._now() - self._retention)
        self._purge_timer = self._clock.call_at(self._clock.time() + PURGE_SECONDS, self._purge_in_turn)

    def _purge_all(self, before: float) -> None:
        for channel in self._channels.values():
            self._purge(channel, before)

    def _purge(self, channel: Channel, before: float) -> None:
        """Remove a slice, and the next one when that is done, until nothing is left to remove."""
        up_to = channel.purgeable(before)
        if up_to is None or channel.name not in self._channels:
            return
        channel.purging = True

        def done(slice: Purged | None, error: TransportError | None) -> None:
            channel.purging = False
            if slice is not None and error is None:
                channel.purged(slice)
                if slice.count == PURGE_EVENTS:
                    self._purge(channel, before)

        self._writer.submit(
            Job("write", lambda store: store.purge(channel.id, up_to, before, PURGE_EVENTS), done)
        )
