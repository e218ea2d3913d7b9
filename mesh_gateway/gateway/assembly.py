"""From a frozen spec to running objects, with `triggers.py` and `relays.py`: documents become plain values of the data path.

Constructors do no I/O. What is made here is plain objects in lists; `mesh.py` gives each of them
the task that runs it. Around a running gateway `staying.py` says what need not be made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from mesh_gateway.broker.broker import Broker
from mesh_gateway.broker.reader import Reader
from mesh_gateway.broker.router import Route, Router
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.replaced import Replaced
from mesh_gateway.errors import TransportError, UnknownKind
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import Assembled, BrokerParts, Parts, Surroundings, channel_options
from mesh_gateway.gateway.relays import add_receivers, add_relays, copying, groups_from_the_start
from mesh_gateway.gateway.staying import Staying
from mesh_gateway.gateway.triggers import add_trigger
from mesh_gateway.topology.spec import BrokerSpec, GatewaySpec, TransportSpec
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Ensure,
    Purpose,
    Start,
    Transport,
    TransportContext,
)
from mesh_gateway.transport.plugins import import_string


def assemble(spec: GatewaySpec, around: Surroundings) -> Parts:
    """Make everything that `spec` names. Raises `PluginError` when a plugin cannot give what is used,
    `TopologyError` when a certificate cannot be used.
    """
    parts = reassemble(spec, None, around).parts
    for link, channel in parts.channels.values():
        link.add(channel)
    return parts


def reassemble(spec: GatewaySpec, running: Parts | None, around: Surroundings) -> Assembled:
    """The same around what runs already: what can stay is in the new parts as it is. Touches nothing that runs."""
    made = Assembled(Parts(spec))
    try:
        _fill(made, Staying(running, made.parts), around)
    except BaseException:
        made.forget(running)
        raise
    return made


def _fill(made: Assembled, stays: Staying, around: Surroundings) -> None:
    parts, spec = made.parts, made.parts.spec
    for transport in used_transports(spec):
        add_link(transport, made, stays, around)
    for broker in spec.brokers.values():
        parts.brokers[broker.key] = make_broker(broker, made, stays)
    add_receivers(spec, parts, stays, around)
    for trigger in spec.triggers.values():
        add_trigger(trigger, made, stays, around)
    add_relays(spec, parts, stays, around)
    for home in parts.brokers.values():
        add_readers(home, made, stays, around)


def used_transports(spec: GatewaySpec) -> list[TransportSpec]:
    """Those that a broker lies on; an unused transport is not even connected."""
    used = {broker.transport for broker in spec.brokers.values()}
    return [transport for name, transport in spec.transports.items() if name in used]


def add_link(spec: TransportSpec, made: Assembled, stays: Staying, around: Surroundings) -> None:
    """The link that stays, with what differs to be changed in place, or a new one."""

    def lost(error: TransportError) -> None:
        link.report(error)

    kept, other = stays.link(spec, lambda: make_transport(spec, made.parts.spec, around, lost))
    if kept is None:
        link = make_link(spec, made.parts.spec, around)
    else:
        link = kept
        ensure = Ensure(spec.ensure)
        if other is not None:
            made.in_place.append(partial(_use, link, other))
            made.reopened.append(link)
        if link.ensure is not ensure:
            made.in_place.append(partial(_ensure, link, ensure))
    made.parts.links[spec.name] = link


def _use(link: Link, transport: Transport) -> Sequence[Replaced]:
    link.replace(transport)
    return ()


def _ensure(link: Link, ensure: Ensure) -> Sequence[Replaced]:
    link.ensure = ensure
    return ()


def make_link(spec: TransportSpec, gateway: GatewaySpec, around: Surroundings) -> Link:
    """A link of its own. Raises `UnknownKind`."""

    def lost(error: TransportError) -> None:
        link.report(error)

    transport = make_transport(spec, gateway, around, lost)
    link = Link(spec.name, spec.kind, transport, Ensure(spec.ensure), around.on_fatal)
    return link


def make_transport(
    spec: TransportSpec, gateway: GatewaySpec, around: Surroundings, lost: Callable[[TransportError], None]
) -> Transport:
    """The transport that a document describes. Raises `UnknownKind`."""
    kind = around.plugins.transports.get(spec.kind)
    if kind is None:
        failed = around.plugins.failed.get(spec.kind)
        raise UnknownKind(
            f"transport {spec.name}: no plugin brings the kind {spec.kind!r}"
            + (f" (plugin {spec.kind} failed: {failed})" if failed else "")
        )
    options = import_string(kind.options).model_validate(dict(spec.options))
    state = gateway.state_directory
    context = TransportContext(
        name=spec.name,
        state_directory=state if state is None or spec.name == "embedded" else state / spec.name,
        on_unreadable=around.on_unreadable,
        on_lost=lost,
        on_fatal=around.on_fatal,
    )
    return around.placed(spec, import_string(kind.load)(options, context))


def make_broker(spec: BrokerSpec, made: Assembled, stays: Staying) -> BrokerParts:
    """The broker with its channels, without readers and triggers: that which stays, or a new one."""
    parts, gateway = made.parts, made.parts.spec
    link = parts.links[spec.transport]
    groups = [SHARED]
    groups += [
        trigger.name
        for trigger in gateway.triggers.values()
        if trigger.broker == spec.key and trigger.read == "dedicated" and trigger.start.at == "earliest"
    ]
    options = channel_options(spec)
    groups += groups_from_the_start(spec, gateway)
    events = ChannelSpec(spec.namespace, spec.name, groups=tuple(groups), options=options)
    kept = stays.home(spec, link)
    if kept is not None:
        channel, letters = kept.broker.channel, kept.dead_letters
        parts.channel(link, events, channel)
        if channel.spec != events:
            made.in_place.append(partial(_described, channel, events))
        parts.channel(link, letters.spec, letters)
        return BrokerParts(spec, link, kept.broker, letters, kept.gate)
    channel = parts.channel(link, events)
    letters = parts.channel(
        link,
        ChannelSpec(spec.namespace, spec.name, Purpose.DEAD_LETTERS, groups=(OPERATORS,), options=options),
    )
    return BrokerParts(spec, link, Broker(spec.key, channel), letters, Gate())


def _described(channel: Channel, spec: ChannelSpec) -> Sequence[Replaced]:
    channel.spec = spec  # with the groups that are to be there from its start, if it has to be made again
    return ()


def add_readers(home: BrokerParts, made: Assembled, stays: Staying, around: Surroundings) -> None:
    """One reader for each dedicated trigger of the broker, and one for all others, first in the list."""
    parts = made.parts
    shared: list[tuple[Filter, Route]] = []
    for trigger in home.triggers:
        spec = parts.spec.triggers[trigger.key]
        route = (parts.filters[trigger.key], trigger)
        if spec.read == "dedicated":
            start = Start(spec.start.at, spec.start.timestamp, spec.start.position)
            home.readers.append(reader(home, spec.name, start, [route], trigger.gate, made, stays, around))
        else:
            shared.append(route)
    shared += copying(parts.relays.values(), home, around)
    home.readers.insert(0, reader(home, SHARED, EARLIEST, shared, home.gate, made, stays, around))


def reader(
    home: BrokerParts,
    group: str,
    start: Start,
    routes: Sequence[tuple[Filter, Route]],
    gate: Gate,
    made: Assembled,
    stays: Staying,
    around: Surroundings,
) -> Reader:
    """The reader that stays, with its routes to be swapped if they differ, or a new one."""
    kept = stays.reader(home, group, home.sieve)
    if kept is not None:
        if kept.router.routes != tuple(routes):
            made.in_place.append(partial(_routed, kept, Router(routes)))
        return kept
    return Reader(
        home.broker.channel,
        broker=home.spec.key,
        group=group,
        start=start,
        router=Router(routes),
        gate=gate,
        watches=around.watches,
        sieve=home.sieve,
    )


def _routed(reader: Reader, router: Router) -> Sequence[Replaced]:
    reader.router = router
    return ()
