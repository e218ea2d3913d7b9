"""What one process remembers of relays into a broker whose transport cannot: bounded, and gone with the process.

On a transport that can (`Remembering`), `receiver.py` keeps the same things in the channel's own memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import Lane
from mesh_gateway.federation.window import Window

LANES = 256
"""Remembered at once: of 16 relays as many epochs as `lanes.EPOCHS`. What is forgotten is still recognised by its identity."""


class ProcessMemory:
    """The lanes and the window of one broker, in memory."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lanes: dict[Lane, Seen] = {}
        self._window = Window()

    @property
    def forgotten(self) -> int:
        """Identities that went before their time, for want of room."""
        return self._window.evicted

    def lane(self, lane: Lane) -> Seen:
        """What was seen of this lane."""
        return self._lanes.get(lane) or Seen()

    def known(self, identities: Iterable[bytes]) -> set[bytes]:
        """Those of them that came within the last day."""
        return self._window.known(identities, self._now())

    def remember(self, lane: Lane, seen: Seen, identities: Iterable[bytes]) -> None:
        """The lane is this far now, and these came."""
        self._lanes.pop(lane, None)
        self._lanes[lane] = seen
        while len(self._lanes) > LANES:
            del self._lanes[next(iter(self._lanes))]
        self._window.add(identities, self._now())
