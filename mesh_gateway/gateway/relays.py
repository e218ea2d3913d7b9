"""From relay and peer specs to running objects: relays, receivers, and the memory of what came by relays."""

from __future__ import annotations

from collections.abc import Iterable

from mesh_gateway.delivery.deadletter import DeadLetters
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.insist import Insist
from mesh_gateway.delivery.waiting import hold_limits
from mesh_gateway.federation.local import Local
from mesh_gateway.federation.outbox import Backoff
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.relay import Relay
from mesh_gateway.federation.remote import Remote
from mesh_gateway.federation.sender import RelayPolicy
from mesh_gateway.federation.sieve import Sieve
from mesh_gateway.federation.target import Target
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import (
    RELAY,
    BrokerParts,
    Parts,
    RelayParts,
    Sending,
    Surroundings,
    channel_options,
    http_settings,
    make_filter,
    make_sink,
    no_head,
    no_tls,
    policy,
)
from mesh_gateway.gateway.staying import MEMORY, Staying
from mesh_gateway.topology.spec import BrokerDestination, BrokerSpec, GatewaySpec, RelaySpec
from mesh_gateway.transport import builtin
from mesh_gateway.transport.contract import ChannelSpec, Ensure, Purpose, Remembering, Start, TransportContext
from mesh_gateway.transport.plugins import import_string

SHORTEST_BACKOFF = 0.05
"""Seconds. With a `backoffDelay` of zero a target that is away would be asked in a tight loop."""


def group_of(relay: RelaySpec) -> str:
    """The group in whose name it reads. No Trigger has an underscore in its name."""
    return f"relay_{relay.name}"


def groups_from_the_start(broker: BrokerSpec, gateway: GatewaySpec) -> list[str]:
    """Groups of relays that begin with what is in the broker's channel already."""
    return [
        group_of(relay)
        for relay in gateway.relays.values()
        if relay.broker == broker.key and relay.start.at == "earliest"
    ]


# ── receiving ────────────────────────────────────────────────────────────────────────────────


def add_receivers(spec: GatewaySpec, parts: Parts, stays: Staying, around: Surroundings) -> None:
    """A receiver for each broker that somebody may relay into, and a sieve where its transport cannot remember.

    A broker that has a sieve keeps it, also when nobody relays into it any more: its readers read through it.
    """
    inside = {
        relay.destination.broker
        for relay in spec.relays.values()
        if isinstance(relay.destination, BrokerDestination)
    }
    for key, home in parts.brokers.items():
        wanted = bool(spec.peers) or key in inside
        if wanted:
            home.receiver = stays.receiver(home) or Receiver(
                home.broker, f"{spec.cluster}/{key}", spec.max_hops
            )
        sieve = stays.sieve(home)
        if sieve is not None or (wanted and not isinstance(home.link.transport, Remembering)):
            memory = parts.links.get(MEMORY) or stays.other_link(MEMORY) or _memory(spec, around)
            parts.links[MEMORY] = memory
            described = ChannelSpec(home.spec.namespace, home.spec.name, groups=())
            channel = parts.channel(memory, described, stays.memory(home, described))
            assert isinstance(memory.transport, Remembering)
            home.sieve = sieve or Sieve(memory.transport, channel.name, memory.up)


def _memory(spec: GatewaySpec, around: Surroundings) -> Link:
    """The embedded transport, as a memory only."""
    kind = builtin.EMBEDDED
    state = spec.state_directory
    context = TransportContext(
        name=MEMORY,
        state_directory=None if state is None else state / MEMORY,
        on_unreadable=around.on_unreadable,
        on_fatal=around.on_fatal,
    )
    transport = import_string(kind.load)(import_string(kind.options)(), context)
    return Link(MEMORY, kind.name, transport, Ensure.CREATE, around.on_fatal)


# ── sending ──────────────────────────────────────────────────────────────────────────────────


def add_relays(spec: GatewaySpec, parts: Parts, stays: Staying, around: Surroundings) -> None:
    """Every relay: that which stays, or a new one. Raises `TopologyError` when a certificate cannot be used."""
    for relay in spec.relays.values():
        home = parts.brokers[relay.broker]
        kept = stays.relay(relay)
        if kept is None:
            made = _relay(relay, home, parts, stays, around)
        else:
            made = kept.relay
            parts.channel(home.link, made.parking.channel.spec, made.parking.channel)
        parts.relays[relay.key] = RelayParts(relay, home, made)
        home.relays.append(made)


def copying(
    relays: Iterable[RelayParts], home: BrokerParts, around: Surroundings
) -> list[tuple[Filter, Relay]]:
    """The relays that the broker's shared reader copies for."""
    return [
        (make_filter(one.spec.filters, (), around.plugins), one.relay)
        for one in relays
        if one.home is home and one.relay.group is None
    ]


def _relay(spec: RelaySpec, home: BrokerParts, parts: Parts, stays: Staying, around: Surroundings) -> Relay:
    gateway = parts.spec
    capabilities = home.link.transport.capabilities
    namespace, name = home.spec.namespace, home.spec.name
    described = ChannelSpec(
        namespace, name, Purpose.PARKED, trigger=group_of(spec), options=channel_options(home.spec)
    )
    parked = parts.channel(home.link, described, stays.channel(home, described))
    store = Insist(home.dead_letters.publish, around.clock)
    own_group = capabilities.groups
    return Relay(
        key=spec.key,
        cluster=gateway.cluster,
        source=home.broker.channel,
        group=group_of(spec) if own_group else None,
        start=Start(spec.start.at, spec.start.timestamp, spec.start.position),
        wanted=make_filter(spec.filters, (), around.plugins),
        target=_target(spec, parts, around),
        here=f"{gateway.cluster}/{home.spec.key}",
        policy=RelayPolicy(
            Backoff(
                max(spec.delivery.backoff_delay, SHORTEST_BACKOFF),
                spec.delivery.backoff_max,
                spec.delivery.retry_after_max,
                chance=around.chance,
            ),
            spec.delivery.retry,
            spec.rate,
            gateway.max_hops,
        ),
        parked=parked,
        letters=_letters(spec, gateway.cluster, store, parts, around),
        store=store,
        gate=Gate() if own_group else home.gate,
        clock=around.clock,
        sieve=home.sieve,
        hold_limit=hold_limits(capabilities.settle, capabilities.lease)[1],
    )


def _letters(spec: RelaySpec, cluster: str, store: Insist, parts: Parts, around: Surroundings) -> DeadLetters:
    sink = spec.delivery.dead_letter_sink
    sending = Sending(f"relay {spec.key}", spec.namespace, spec.delivery)
    return DeadLetters(
        trigger=RELAY + spec.key,
        cluster=cluster,
        sink=None if sink is None else make_sink(sink, sending, parts, around),
        store=store,
        policy=policy(spec.delivery),
        clock=around.clock,
        chance=around.chance,
    )


def _target(spec: RelaySpec, parts: Parts, around: Surroundings) -> Target:
    to = spec.destination
    if isinstance(to, BrokerDestination):
        receiver = parts.brokers[to.broker].receiver
        assert receiver is not None, "made for every broker that a relay leads to"
        return Local(receiver, around.ingress_url(to.broker))
    sending = Sending(f"relay {spec.key}", spec.namespace, spec.delivery)
    try:
        return Remote(http_settings(to, sending), gzip=spec.compression == "gzip")
    except OSError as error:
        raise no_tls(sending.owner, to.url, error) from error
    except UnicodeError as error:
        raise no_head(sending.owner, to.url) from error
