"""The events that came by relays within a while, by what CloudEvents calls an event's identity: source and id."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from mesh_gateway.delivery.deadletter import CLUSTER, TRIGGER
from mesh_gateway.event import Event

SECONDS, EVENTS = 86_400.0, 1_000_000
"""A day, or as many events; a kept identity takes about 130 bytes of memory, so 130 MB at most."""


def identity(event: Event) -> bytes:
    """128 bits for source and id together: the same for the same event, and for nothing else.

    A dead letter has the source and id of its event and is another thing: one event may have a letter of each trigger
    that it was for, in each gateway. So with a letter, whose it is counts, too; by which way it came does not.

    The length stands in front, so that no source can end where another's id begins.
    """
    source, id = event.source.encode(), event.id.encode()
    text = b"%d:%b%b" % (len(source), source, id)
    trigger = event.attributes.get(TRIGGER)
    if trigger is not None:
        text = f"letter {event.attributes.get(CLUSTER, '')} {trigger} ".encode() + text
    return blake2b(text, digest_size=16).digest()


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
