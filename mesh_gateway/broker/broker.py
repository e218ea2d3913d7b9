"""The door of a broker: stamps an event and hands it to the channel; durable or refused, never in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from mesh_gateway.broker import ttl
from mesh_gateway.delivery.reply import TTL
from mesh_gateway.delivery.twins import TWIN
from mesh_gateway.delivery.waiting import ATTEMPTS, DUE
from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import Done
from mesh_gateway.transport.channel import Channel

ARRIVAL: Final = "knativearrivaltime"

RESERVED: Final = "mesh"
"""Attributes of ours: a producer's are taken off, or anybody could forge a dead letter's story."""


OF_HERE = frozenset({ATTEMPTS, DUE, TWIN})
"""Attributes of ours that mean something only where they were set: not even another gateway may bring them."""

SET_HERE = OF_HERE | {TTL, ARRIVAL}


class BrokerCounters:
    """What one broker has taken in since the process started."""

    __slots__ = ("accepted", "replies", "stripped")

    def __init__(self) -> None:
        self.accepted = 0
        """Events that became durable in its channel, replies included."""
        self.replies = 0
        self.stripped = 0
        """Events that came with reserved `mesh*` attributes, which were removed."""


class Counting:
    """A `Done` that counts events which became durable, and tells the one that it stands for."""

    __slots__ = ("_count", "_counters", "_done", "_replies")

    def __init__(self, counters: BrokerCounters, count: int, done: Done, replies: int = 0) -> None:
        self._counters = counters
        self._count = count
        self._done = done
        self._replies = replies

    def __call__(self, error: MeshError | None) -> None:
        if error is None:
            self._counters.accepted += self._count
            self._counters.replies += self._replies
        self._done(error)


class Broker:
    """Accepts events for one channel. Safe to call from any callback of the event loop."""

    def __init__(self, key: str, channel: Channel, *, now: Callable[[], float] = time.time) -> None:
        self.key = key
        self.channel = channel
        self.counters = BrokerCounters()
        self._now = now
        self._second = -1
        self._prefix = ""

    def accept(self, events: Sequence[Event], done: Done) -> None:
        """Store events from outside. `done(None)` once all are durable, `done(error)` if not all are.

        Raises `HopsExhausted` at once, with nothing stored. `done` is never called before this
        returns.
        """
        arrival = self.arrival()
        counting = Counting(self.counters, len(events), done)
        if len(events) == 1:
            self.channel.publish(self._stamped(events[0], arrival, trusted=False), counting)
            return
        stamped = [self._stamped(event, arrival, trusted=False) for event in events]
        self.channel.publish_all(stamped, counting)

    def accept_inside(self, event: Event, done: Done) -> None:
        """Store an event from inside this gateway (another broker's copy, a dead letter)."""
        stamped = self._stamped(event, self.arrival(), trusted=True)
        self.channel.publish(stamped, Counting(self.counters, 1, done))

    def relayed(self, event: Event, arrival: str) -> Event:
        """An event from another gateway as it is stored here: with the marks of its way, one broker further.

        Raises `HopsExhausted`. From any thread.
        """
        attributes = {**event.attributes, TTL: ttl.spend(event.attributes.get(TTL)), ARRIVAL: arrival}
        for name in OF_HERE:
            attributes.pop(name, None)
        kinds = {name: kind for name, kind in (event.kinds or {}).items() if name not in SET_HERE}
        return Event(attributes, event.data, kinds or None, event.headers)

    def accept_reply(self, reply: Event, done: Done) -> None:
        """Store a subscriber's reply: from outside as to what it may carry, from inside as to its hops."""
        stamped = self._stamped(reply, self.arrival(), trusted=False)
        self.channel.publish(stamped, Counting(self.counters, 1, done, replies=1))

    def _stamped(self, event: Event, arrival: str, *, trusted: bool) -> Event:
        attributes = dict(event.attributes)
        kinds = event.kinds
        attributes[TTL] = ttl.spend(attributes.get(TTL))
        attributes[ARRIVAL] = arrival
        if not trusted:
            for name in event.attributes:
                if name.startswith(RESERVED):
                    return self._stripped(event, attributes)
        if kinds is not None:
            kinds = {name: kind for name, kind in kinds.items() if name not in (TTL, ARRIVAL)} or None
        return Event(attributes, event.data, kinds, event.headers)

    def _stripped(self, event: Event, attributes: dict[str, str]) -> Event:
        self.counters.stripped += 1
        kept = {name: value for name, value in attributes.items() if not name.startswith(RESERVED)}
        kinds = {
            name: kind
            for name, kind in (event.kinds or {}).items()
            if name in kept and name not in (TTL, ARRIVAL)
        }
        return Event(kept, event.data, kinds or None, event.headers)

    def arrival(self) -> str:
        """Now as RFC 3339 with microseconds; the part down to the second is made once a second."""
        now = self._now()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        # Six digits without a format, which costs 1 µs.
        return f"{self._prefix}{str(1_000_000 + int((now - second) * 1_000_000))[1:]}Z"
