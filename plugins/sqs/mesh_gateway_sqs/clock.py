"""Time as a subscription sees it: what is held, for how long, and when it is extended. Tests give one of their own."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, and waiting for them to pass."""

    def time(self) -> float:
        """Now, in seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many have passed."""
        ...


class RealClock:
    """The machine's own."""

    def time(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
