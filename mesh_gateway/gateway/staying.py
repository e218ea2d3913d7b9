"""What of a running gateway stays as it is when its documents change. Decides, and changes nothing.

A part stays when its document says the same as before and everything it is tied to stays. Of a trigger that stays, some
settings may change all the same: those that it can adopt while it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mesh_gateway.broker.reader import Reader
from mesh_gateway.delivery.counters import TriggerCounters
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.sieve import Sieve
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import BrokerParts, Parts, RelayParts
from mesh_gateway.topology.spec import (
    BrokerDestination,
    BrokerSpec,
    Destination,
    RelaySpec,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import ChannelSpec, Transport

MEMORY = "relay-memory"
"""Directory, below that of the state, of what is remembered for brokers whose transports cannot."""


class Staying:
    """Asked part by part while the new parts are made; `new` is filled meanwhile, in the order of their making."""

    def __init__(self, running: Parts | None, new: Parts) -> None:
        self._running = running or Parts()
        self._new = new

    def link(
        self, spec: TransportSpec, make: Callable[[], Transport]
    ) -> tuple[Link | None, Transport | None]:
        """The link that stays, and the transport that it is to use instead; `make` makes one of the new options."""
        link = self._running.links.get(spec.name)
        before = self._running.spec.transports.get(spec.name)
        if link is None or before is None or before.kind != spec.kind:
            return None, None
        if before.options == spec.options:
            return link, None
        transport = make()
        if transport.capabilities != link.transport.capabilities:
            return None, None  # what reads and delivers is built on them
        return link, transport

    def other_link(self, name: str) -> Link | None:
        """A link that no document describes."""
        return self._running.links.get(name)

    def home(self, spec: BrokerSpec, link: Link) -> BrokerParts | None:
        """The broker's parts that stay: the broker itself, its channels, its gate."""
        home = self._running.brokers.get(spec.key)
        return home if home is not None and home.spec == spec and home.link is link else None

    def channel(self, home: BrokerParts, spec: ChannelSpec) -> Channel | None:
        """The broker's channel of this name."""
        if not self._home_stays(home.spec.key):
            return None
        found = self._running.channels.get((home.link.name, spec.name))
        return None if found is None else found[1]

    def memory(self, home: BrokerParts, spec: ChannelSpec) -> Channel | None:
        """What is remembered of what came by relays into this broker."""
        found = self._running.channels.get((MEMORY, spec.name)) if self._home_stays(home.spec.key) else None
        return None if found is None else found[1]

    def trigger(self, spec: TriggerSpec) -> tuple[Trigger, TriggerSpec] | None:
        """The trigger that stays, and what it was made of: what differs, it can adopt."""
        trigger = self._running.triggers.get(spec.key)
        before = self._running.spec.triggers.get(spec.key)
        if trigger is None or before is None or not self._home_stays(spec.broker):
            return None
        same = (before.broker, before.read, before.order, before.overflow)
        return (trigger, before) if same == (spec.broker, spec.read, spec.order, spec.overflow) else None

    def same_way(self, before: Destination | None, now: Destination | None) -> bool:
        """Whether what delivers to a destination can stay: it is the same, and so is the broker that it leads to."""
        return before == now and (not isinstance(now, BrokerDestination) or self._home_stays(now.broker))

    def filter(self, spec: TriggerSpec) -> Filter | None:
        """The compiled filter of a trigger whose filters say what they said, with what it has counted."""
        before = self._running.spec.triggers.get(spec.key)
        if before is None:
            return None
        same = (before.filters, before.filter_attributes) == (spec.filters, spec.filter_attributes)
        return self._running.filters.get(spec.key) if same else None

    def counters(self, spec: TriggerSpec) -> TriggerCounters | None:
        """What a trigger of this name has counted, for one that takes its place."""
        trigger = self._running.triggers.get(spec.key)
        return None if trigger is None else trigger.counters

    def gate(self, home: BrokerParts, spec: TriggerSpec) -> Gate | None:
        """That of the trigger's own reader, if it has one that stays."""
        reader = self.reader(home, spec.name, home.sieve) if spec.read == "dedicated" else None
        return None if reader is None else reader.gate

    def receiver(self, home: BrokerParts) -> Receiver | None:
        """The receiver of a broker that stays."""
        return self._running.brokers[home.spec.key].receiver if self._home_stays(home.spec.key) else None

    def sieve(self, home: BrokerParts) -> Sieve | None:
        """The sieve of a broker that stays."""
        return self._running.brokers[home.spec.key].sieve if self._home_stays(home.spec.key) else None

    def reader(self, home: BrokerParts, group: str, sieve: Sieve | None) -> Reader | None:
        """The reader that stays subscribed. One without a sieve cannot be given one."""
        if not self._home_stays(home.spec.key):
            return None
        before = self._running.brokers[home.spec.key]
        if before.sieve is not sieve:
            return None
        return next((reader for reader in before.readers if reader.group == group), None)

    def relay(self, spec: RelaySpec) -> RelayParts | None:
        """The relay that stays. `start` counts only for a group that does not exist yet."""
        one = self._running.relays.get(spec.key)
        if one is None or replace(one.spec, start=spec.start) != spec or not self._home_stays(spec.broker):
            return None
        if self._running.brokers[spec.broker].sieve is not self._new.brokers[spec.broker].sieve:
            return None
        to = spec.destination
        if isinstance(to, BrokerDestination):
            before = self._running.brokers.get(to.broker)
            if before is None or before.receiver is not self._new.brokers[to.broker].receiver:
                return None
        return one

    def _home_stays(self, key: str) -> bool:
        before, now = self._running.brokers.get(key), self._new.brokers.get(key)
        return before is not None and now is not None and before.broker is now.broker
