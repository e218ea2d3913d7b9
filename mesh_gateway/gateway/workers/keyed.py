"""The embedded transport of one of several workers: what is ordered is stored by the worker that has its key.

publish ─▶ whose key? ─▶ ours ───────▶ our store ──┐
                    └──▶ a neighbour's ▶ its store ─┴─▶ durable, or which are not

Everything that comes into a channel goes this way: what producers send, replies, what another Broker hands on. Each worker reads
and delivers what is in its own store, so one process has all events of a key, and keeps their order as a gateway of one process does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from mesh_gateway.errors import PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.gateway.workers.keys import EMBEDDED, Keyed, shares
from mesh_gateway.gateway.workers.neighbours import Neighbour
from mesh_gateway.topology.spec import TransportSpec
from mesh_gateway.transport.contract import (
    Backlog,
    Browsable,
    Capabilities,
    ChannelSpec,
    Check,
    Choose,
    Drift,
    Ensure,
    Measurable,
    Remembering,
    Removable,
    Start,
    Stored,
    Subscription,
    Transport,
)


class Stores:
    """The open embedded transports of this worker, and those of its neighbours."""

    def __init__(self, number: int, workers: int, neighbours: Mapping[int, Neighbour]) -> None:
        """`neighbours` are the others of the `workers` that take events, by number."""
        self.keyed: Keyed = frozenset()
        """Where keys matter, by the documents that are served; may be set at any time."""
        self._number = number
        self._workers = workers
        self._neighbours = neighbours
        self._open: dict[str, Transport] = {}

    def placed(self, spec: TransportSpec, transport: Transport) -> Transport:
        """The transport as this worker uses it."""
        return KeyedTransport(spec.name, transport, self) if spec.kind == EMBEDDED else transport

    def open(self, name: str) -> Transport | None:
        """The transport of this name, while it is open."""
        return self._open.get(name)

    def opened(self, name: str, transport: Transport) -> None:
        """Neighbours may store in it."""
        self._open[name] = transport

    def closed(self, name: str, transport: Transport) -> None:
        """They may not any more."""
        if self._open.get(name) is transport:
            del self._open[name]

    async def publish(self, name: str, transport: Transport, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`, each event in the store of whoever has its key."""
        if (name, channel) not in self.keyed:
            await transport.publish(channel, events)
            return
        parts = shares(events, self._workers)
        if parts.keys() <= {self._number}:
            await transport.publish(channel, events)
            return
        outcomes = await asyncio.gather(
            *(
                self._part(number, name, transport, channel, [events[index] for index in indexes])
                for number, indexes in parts.items()
            )
        )
        error = together(zip(parts.values(), outcomes, strict=True))
        if error is not None:
            raise error

    async def _part(
        self, number: int, name: str, transport: Transport, channel: str, events: Sequence[Event]
    ) -> TransportError | None:
        try:
            if number == self._number:
                await transport.publish(channel, events)
            else:
                await self._neighbours[number].store(name, channel, events)
        except TransportError as error:
            return error
        return None


def together(parts: Iterable[tuple[Sequence[int], TransportError | None]]) -> PublishError | None:
    """The outcome of a publish by those of its parts, each with the indexes of its events."""
    failed: set[int] = set()
    unknown: set[int] = set()
    why: list[str] = []
    after: list[float] = []
    for indexes, error in parts:
        if error is None:
            continue
        if isinstance(error, PublishError):
            failed.update(indexes[index] for index in error.failed | error.refused.keys())
            unknown.update(indexes[index] for index in error.unknown)
        else:
            failed.update(indexes)
        why.append(str(error))
        after += [] if error.retry_after is None else [error.retry_after]
    if not why:
        return None
    return PublishError("; ".join(why), failed=failed, unknown=unknown, retry_after=max(after, default=None))


class KeyedTransport:
    """The embedded transport `within`, but that what is published goes to whoever has its key. As safe to use as that."""

    def __init__(self, name: str, within: Transport, stores: Stores) -> None:
        self._name = name
        self._within = within
        self._stores = stores

    @property
    def capabilities(self) -> Capabilities:
        """Those of the store."""
        return self._within.capabilities

    async def open(self) -> None:
        """As `Transport.open`; neighbours may store here from then on."""
        await self._within.open()
        self._stores.opened(self._name, self._within)

    async def close(self) -> None:
        """As `Transport.close`."""
        self._stores.closed(self._name, self._within)
        await self._within.close()

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`."""
        await self._stores.publish(self._name, self._within, channel, events)

    # ── all else is the store's own ──────────────────────────────────────────────────────────

    async def check(self) -> list[Check]:
        return await self._within.check()

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        return await self._within.ensure(channel, mode)

    async def subscribe(self, channel: str, group: str, start: Start) -> Subscription:
        return await self._within.subscribe(channel, group, start)

    async def publish_chosen(self, channel: str, choose: Choose, *, size: int) -> None:
        await cast(Remembering, self._within).publish_chosen(channel, choose, size=size)

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        return await cast(Browsable, self._within).browse(channel, after=after, limit=limit)

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        return await cast(Removable, self._within).remove(channel, positions)

    async def backlog(self, channel: str, group: str) -> Backlog:
        return await cast(Measurable, self._within).backlog(channel, group)
