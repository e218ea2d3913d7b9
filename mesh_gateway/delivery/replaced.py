"""Sinks that were replaced while attempts were under way: each ends what it was given, then its connections close."""

from __future__ import annotations

import asyncio

from mesh_gateway.delivery.sink import Sink


class Replaced:
    """One sink that is given nothing more. `close` has one owner."""

    def __init__(self, sink: Sink, under_way: int) -> None:
        self.sink = sink
        self.under_way = under_way
        self._ended = asyncio.Event()
        if under_way == 0:
            self._ended.set()

    def ended(self) -> None:
        """One of its attempts is over."""
        self.under_way -= 1
        if self.under_way == 0:
            self._ended.set()

    async def close(self) -> None:
        """Once its last attempt is over, free its connections; cancelled, it ends what is under way first."""
        try:
            await self._ended.wait()
        finally:
            await self.sink.close()


class Outlet:
    """The sink that attempts go to now, and those it replaced. Whoever sends tells it where each attempt went."""

    def __init__(self, sink: Sink | None) -> None:
        self.sink = sink
        self._replaced: dict[int, Replaced] = {}

    def replace(self, sink: Sink | None, sending: int) -> Replaced | None:
        """Attempts go to `sink` from now on. `sending`: attempts under way, over all sinks. What it gives is to be
        closed; None when there was no sink.
        """
        old, self.sink = self.sink, sink
        if old is None:
            return None
        replaced = Replaced(old, sending - sum(one.under_way for one in self._replaced.values()))
        if replaced.under_way:
            self._replaced[id(old)] = replaced
        return replaced

    def ended(self, sink: Sink | None) -> None:
        """An attempt is over that went to a sink which is not that of now."""
        replaced = self._replaced.get(id(sink))
        if replaced is not None:
            replaced.ended()
            if replaced.under_way == 0:
                del self._replaced[id(sink)]

    async def cut(self) -> None:
        """End every attempt under way, wherever it went."""
        for replaced in list(self._replaced.values()):
            await replaced.sink.close()
        await self.close()

    async def close(self) -> None:
        """Close the sink of now; those it replaced have owners of their own."""
        if self.sink is not None:
            await self.sink.close()
