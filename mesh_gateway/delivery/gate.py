"""Holding a reader back while somebody behind it has no room."""

from __future__ import annotations

import asyncio


class Gate:
    """Open unless somebody holds it; the reader passes before it asks for more."""

    def __init__(self) -> None:
        self._holders: set[object] = set()
        self._open = asyncio.Event()
        self._open.set()

    def hold(self, who: object) -> None:
        """`who` has no room; idempotent."""
        self._holders.add(who)
        self._open.clear()

    def let(self, who: object) -> None:
        """`who` has room again; idempotent."""
        self._holders.discard(who)
        if not self._holders:
            self._open.set()

    async def passable(self) -> None:
        """Returns once nobody holds the gate."""
        await self._open.wait()
