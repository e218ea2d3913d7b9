"""A broker in memory. It stands for the server of yours: when `transport.py` speaks to that one, delete this file.

It outlives a connection, and no more: what lies here is gone when the process ends.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import dataclass, field


@dataclass
class Group:
    """How far a group has come, and what was given back to it."""

    next: int
    returned: list[int] = field(default_factory=list)


class Channel:
    """Records in the order in which they came."""

    def __init__(self) -> None:
        self.records: list[tuple[float, bytes]] = []
        self.groups: dict[str, Group] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    def begin(self, group: str, *, earliest: bool) -> None:
        """Make a group, unless it is there."""
        self.groups.setdefault(group, Group(0 if earliest else len(self.records)))

    def append(self, raws: list[bytes]) -> None:
        """Store records; they are as durable as memory is."""
        self.records += [(time.time(), raw) for raw in raws]
        self._wake()

    def take(self, group: str, limit: int) -> list[int]:
        """Positions of up to `limit` records that nobody in the group holds now."""
        own = self.groups[group]
        found = [heapq.heappop(own.returned) for _ in range(min(limit, len(own.returned)))]
        more = range(own.next, min(len(self.records), own.next + limit - len(found)))
        own.next += len(more)
        return [*found, *more]

    def give_back(self, group: str, positions: set[int]) -> None:
        """Let the group have these again."""
        for position in positions:
            heapq.heappush(self.groups[group].returned, position)
        self._wake()

    async def arrival(self, seconds: float) -> None:
        """Returns when something may be there to take, or after so many seconds."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=seconds)
        finally:
            self._waiting.discard(waiting)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


SERVERS: dict[str, dict[str, Channel]] = {}
"""Channels by name, of each server by name."""
