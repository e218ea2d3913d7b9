"""From a frozen spec to running objects, with `relays.py`: here documents become plain values of the data path.

Constructors do no I/O. What is made here is plain objects in lists; `mesh.py` gives each of them
the task that runs it.
"""

from __future__ import annotations

from dataclasses import replace

from mesh_gateway.broker.broker import Broker
from mesh_gateway.broker.reader import Reader
from mesh_gateway.broker.router import Route, Router
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.trigger import Trigger, Window
from mesh_gateway.delivery.waiting import hold_limits
from mesh_gateway.errors import TransportError, UnknownKind
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import (
    BrokerParts,
    Parts,
    Sending,
    Surroundings,
    channel_options,
    make_filter,
    make_sink,
    policy,
)
from mesh_gateway.gateway.relays import add_receivers, add_relays, copying, groups_from_the_start
from mesh_gateway.topology.spec import BrokerSpec, GatewaySpec, TransportSpec, TriggerSpec
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Ensure,
    Purpose,
    Start,
    TransportContext,
)
from mesh_gateway.transport.plugins import import_string


def assemble(spec: GatewaySpec, around: Surroundings) -> Parts:
    """Make everything that `spec` names. Raises `PluginError` when a plugin cannot give what is used,
    `TopologyError` when a certificate cannot be used.
    """
    parts = Parts()
    for transport in used_transports(spec):
        parts.links[transport.name] = make_link(transport, spec, around)
    for broker in spec.brokers.values():
        parts.brokers[broker.key] = make_broker(broker, spec, parts)
    add_receivers(spec, parts, around)
    for trigger in spec.triggers.values():
        add_trigger(trigger, spec.cluster, parts, around)
    add_relays(spec, parts, around)
    for broker_parts in parts.brokers.values():
        add_shared_reader(broker_parts, spec, parts, around)
    return parts


def used_transports(spec: GatewaySpec) -> list[TransportSpec]:
    """Those that a broker lies on; an unused transport is not even connected."""
    used = {broker.transport for broker in spec.brokers.values()}
    return [transport for name, transport in spec.transports.items() if name in used]


def make_link(spec: TransportSpec, gateway: GatewaySpec, around: Surroundings) -> Link:
    kind = around.plugins.transports.get(spec.kind)
    if kind is None:
        failed = around.plugins.failed.get(spec.kind)
        raise UnknownKind(
            f"transport {spec.name}: no plugin brings the kind {spec.kind!r}"
            + (f" (plugin {spec.kind} failed: {failed})" if failed else "")
        )
    options = import_string(kind.options).model_validate(dict(spec.options))
    state = gateway.state_directory

    def lost(error: TransportError) -> None:
        link.report(error)

    context = TransportContext(
        name=spec.name,
        state_directory=state if state is None or spec.name == "embedded" else state / spec.name,
        on_unreadable=around.on_unreadable,
        on_lost=lost,
        on_fatal=around.on_fatal,
    )
    transport = import_string(kind.load)(options, context)
    link = Link(spec.name, spec.kind, transport, Ensure(spec.ensure), around.on_fatal)
    return link


def make_broker(spec: BrokerSpec, gateway: GatewaySpec, parts: Parts) -> BrokerParts:
    link = parts.links[spec.transport]
    groups = [SHARED]
    groups += [
        trigger.name
        for trigger in gateway.triggers.values()
        if trigger.broker == spec.key and trigger.read == "dedicated" and trigger.start.at == "earliest"
    ]
    options = channel_options(spec)
    groups += groups_from_the_start(spec, gateway)
    channel = link.channel(ChannelSpec(spec.namespace, spec.name, groups=tuple(groups), options=options))
    letters = link.channel(
        ChannelSpec(spec.namespace, spec.name, Purpose.DEAD_LETTERS, groups=(OPERATORS,), options=options)
    )
    return BrokerParts(spec, link, Broker(spec.key, channel), letters, Gate())


def add_trigger(spec: TriggerSpec, cluster: str, parts: Parts, around: Surroundings) -> None:
    """Make the trigger, and its own reader if it is dedicated."""
    home = parts.brokers[spec.broker]
    gate = Gate() if spec.read == "dedicated" else home.gate
    parked = home.link.channel(
        ChannelSpec(
            home.spec.namespace,
            home.spec.name,
            Purpose.PARKED,
            trigger=spec.name,
            options=channel_options(home.spec),
        )
    )
    delivery = spec.delivery
    capabilities = home.link.transport.capabilities
    letters = delivery.dead_letter_sink
    sending = Sending(f"trigger {spec.key}", spec.namespace, delivery, spec.replies, spec.parallelism)
    trigger = Trigger(
        key=spec.key,
        broker=spec.broker,
        cluster=cluster,
        sink=make_sink(spec.destination, sending, parts, around),
        dead_letter_sink=None
        if letters is None
        else make_sink(letters, replace(sending, replies=False), parts, around),
        policy=policy(delivery),
        window=Window(
            events=spec.window_events,
            bytes=spec.window_bytes,
            parallelism=spec.parallelism,
            ordered=spec.order == "ordered",
            overflow=spec.overflow,
        ),
        parked=parked,
        dead_letters=home.dead_letters,
        accept=home.broker.accept_reply,
        gate=gate,
        clock=around.clock,
        watches=around.watches,
        hold_limits=hold_limits(capabilities.settle, capabilities.lease),
    )
    parts.triggers[spec.key] = trigger
    home.triggers.append(trigger)
    parts.filters[spec.key] = make_filter(spec.filters, spec.filter_attributes, around.plugins)
    if spec.read == "dedicated":
        start = Start(spec.start.at, spec.start.timestamp, spec.start.position)
        routes = [(parts.filters[spec.key], trigger)]
        home.readers.append(make_reader(home, spec.name, start, Router(routes), gate, around))


def add_shared_reader(home: BrokerParts, gateway: GatewaySpec, parts: Parts, around: Surroundings) -> None:
    """One reader for all triggers of the broker that have none of their own."""
    routes: list[tuple[Filter, Route]] = [
        (parts.filters[trigger.key], trigger)
        for trigger in home.triggers
        if gateway.triggers[trigger.key].read == "shared"
    ]
    routes += copying(parts.relays.values(), home, around)
    home.readers.insert(0, make_reader(home, SHARED, EARLIEST, Router(routes), home.gate, around))


def make_reader(
    home: BrokerParts, group: str, start: Start, router: Router, gate: Gate, around: Surroundings
) -> Reader:
    return Reader(
        home.broker.channel,
        broker=home.spec.key,
        group=group,
        start=start,
        router=router,
        gate=gate,
        watches=around.watches,
        sieve=home.sieve,
    )
