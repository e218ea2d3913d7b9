"""The identities that came by relays within a while, in memory: for a receiver whose transport cannot remember them.

The embedded transport remembers them itself, in the commit that stores the events.
"""

from __future__ import annotations

from collections.abc import Iterable

SECONDS, EVENTS = 86_400.0, 1_000_000
"""A day, as the embedded transport, or as many events; a kept identity takes about 130 bytes, so 130 MB at most for each
broker that is relayed into."""


class Window:
    """Exact, never a guess: a false "seen" would be a lost event. Moments are those of one clock that does not go back."""

    def __init__(self, seconds: float = SECONDS, events: int = EVENTS) -> None:
        self._seconds, self._events = seconds, events
        self._moments: dict[bytes, float] = {}
        self.evicted = 0
        """Identities that had to go before their time: their duplicates would not be known any more."""

    def __len__(self) -> int:
        return len(self._moments)

    def known(self, identities: Iterable[bytes], now: float) -> set[bytes]:
        """Those of them that came within the window."""
        moments, oldest = self._moments, now - self._seconds
        return {one for one in identities if one in moments and moments[one] >= oldest}

    def add(self, identities: Iterable[bytes], now: float) -> None:
        """These came now. What is too old goes, and what is too much."""
        moments = self._moments
        for one in identities:
            moments.pop(one, None)  # the order of the mapping is that of the moments
            moments[one] = now
        oldest = now - self._seconds
        while moments:
            first = next(iter(moments))
            if moments[first] >= oldest:
                if len(moments) <= self._events:
                    return
                self.evicted += 1
            del moments[first]
