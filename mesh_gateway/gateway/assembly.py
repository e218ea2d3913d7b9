"""From a frozen spec to running objects: the only room that knows both documents and the data path.

Constructors do no I/O. What is made here is plain objects in lists; `mesh.py` gives each of them
the task that runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mesh_gateway.broker.broker import Broker
from mesh_gateway.broker.reader import Reader
from mesh_gateway.broker.router import Router
from mesh_gateway.broker.sink import BrokerSink
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.delivery.sink import Sink
from mesh_gateway.delivery.trigger import Trigger, Window
from mesh_gateway.delivery.waiting import hold_limits
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import TopologyError, UnknownKind
from mesh_gateway.filters.dialects import Filter, parse
from mesh_gateway.gateway.display import DisplaySink
from mesh_gateway.gateway.link import Link
from mesh_gateway.topology.spec import (
    BrokerDestination,
    BrokerSpec,
    Destination,
    GatewaySpec,
    HttpDestination,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.channel import Channel
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
from mesh_gateway.transport.plugins import Plugins, import_string

DISPLAY = "display:"


@dataclass(slots=True)
class BrokerParts:
    """Everything of one broker."""

    spec: BrokerSpec
    link: Link
    broker: Broker
    dead_letters: Channel
    gate: Gate
    readers: list[Reader] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)


@dataclass(slots=True)
class Parts:
    """Everything of one gateway, by name."""

    links: dict[str, Link] = field(default_factory=dict)
    brokers: dict[str, BrokerParts] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    filters: dict[str, Filter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the running objects need from the process they run in."""

    plugins: Plugins
    clock: Clock
    watches: Watches
    ingress_url: Callable[[str], str]
    """From `namespace/name` of a broker to its URL."""
    on_unreadable: Callable[[str, str], None]
    on_fatal: Callable[[str], None]


def assemble(spec: GatewaySpec, around: Surroundings) -> Parts:
    """Make everything that `spec` names. Raises `PluginError` when a plugin cannot give what is used,
    `TopologyError` when a certificate cannot be used.
    """
    parts = Parts()
    for transport in used_transports(spec):
        parts.links[transport.name] = make_link(transport, spec, around)
    for broker in spec.brokers.values():
        parts.brokers[broker.key] = make_broker(broker, spec, parts)
    for trigger in spec.triggers.values():
        add_trigger(trigger, parts, around)
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
    context = TransportContext(
        name=spec.name,
        state_directory=state if state is None or spec.name == "embedded" else state / spec.name,
        on_unreadable=around.on_unreadable,
        on_fatal=around.on_fatal,
    )
    transport = import_string(kind.load)(options, context)
    return Link(spec.name, spec.kind, transport, Ensure(spec.ensure), around.on_fatal)


def make_broker(spec: BrokerSpec, gateway: GatewaySpec, parts: Parts) -> BrokerParts:
    link = parts.links[spec.transport]
    groups = [SHARED]
    groups += [
        trigger.name
        for trigger in gateway.triggers.values()
        if trigger.broker == spec.key and trigger.read == "dedicated" and trigger.start.at == "earliest"
    ]
    options = channel_options(spec)
    channel = link.channel(ChannelSpec(spec.namespace, spec.name, groups=tuple(groups), options=options))
    letters = link.channel(
        ChannelSpec(spec.namespace, spec.name, Purpose.DEAD_LETTERS, groups=(OPERATORS,), options=options)
    )
    return BrokerParts(spec, link, Broker(spec.key, channel), letters, Gate())


def channel_options(spec: BrokerSpec) -> tuple[tuple[str, str], ...]:
    """What the broker's documents say about its channels, secrets in plain text: for the transport alone."""
    return spec.options + tuple((name, secret.value) for name, secret in spec.secrets)


def add_trigger(spec: TriggerSpec, parts: Parts, around: Surroundings) -> None:
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
    trigger = Trigger(
        key=spec.key,
        broker=spec.broker,
        sink=make_sink(spec.destination, spec, parts, around),
        dead_letter_sink=None if letters is None else make_sink(letters, spec, parts, around, letters=True),
        policy=RetryPolicy(
            retry=delivery.retry,
            backoff=delivery.backoff_policy,
            delay=delivery.backoff_delay,
            backoff_max=delivery.backoff_max,
            retry_after_max=delivery.retry_after_max,
            jitter=delivery.jitter,
        ),
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
    parts.filters[spec.key] = make_filter(spec, around.plugins)
    if spec.read == "dedicated":
        start = Start(spec.start.at, spec.start.timestamp, spec.start.position)
        routes = [(parts.filters[spec.key], trigger)]
        home.readers.append(make_reader(home, spec.name, start, Router(routes), gate, around))


def add_shared_reader(home: BrokerParts, gateway: GatewaySpec, parts: Parts, around: Surroundings) -> None:
    """One reader for all triggers of the broker that have none of their own."""
    routes = [
        (parts.filters[trigger.key], trigger)
        for trigger in home.triggers
        if gateway.triggers[trigger.key].read == "shared"
    ]
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
    )


def make_filter(spec: TriggerSpec, plugins: Plugins) -> Filter:
    custom = {name: kind.compile for name, kind in plugins.filters.items()}
    return parse(spec.filters, spec.filter_attributes, custom)


def make_sink(
    destination: Destination,
    trigger: TriggerSpec,
    parts: Parts,
    around: Surroundings,
    *,
    letters: bool = False,
) -> Sink:
    if isinstance(destination, BrokerDestination):
        return BrokerSink(parts.brokers[destination.broker].broker, around.ingress_url(destination.broker))
    if isinstance(destination, HttpDestination):
        try:
            return HttpSink(http_settings(destination, trigger, letters=letters))
        except OSError as error:
            # ssl.SSLError is one: a certificate, key or authority that cannot be used.
            what = error.strerror or str(error)
            raise TopologyError(
                f"trigger {trigger.key}: TLS for {destination.url} cannot be set up: {what}"
            ) from error
    if destination.uri.startswith(DISPLAY):
        return DisplaySink(destination.uri)
    scheme = destination.uri.partition(":")[0]
    kind = around.plugins.sinks.get(scheme)
    if kind is None:
        raise UnknownKind(f"trigger {trigger.key}: no plugin delivers to {scheme}: URIs")
    sink: Sink = import_string(kind.load)(destination.uri)
    return sink


def http_settings(destination: HttpDestination, trigger: TriggerSpec, *, letters: bool) -> HttpSettings:
    certificate = destination.client_certificate
    return HttpSettings(
        url=destination.url,
        timeout=trigger.delivery.timeout,
        ca_certificates=destination.ca_certificates,
        client_certificate=None if certificate is None else (certificate.certificate, certificate.key),
        bearer=None if destination.bearer is None else destination.bearer.value,
        insecure_skip_verify=destination.insecure_skip_verify,
        replies=destination.replies and trigger.replies and not letters,
        format=trigger.delivery.format,
        headers=destination.headers,
        namespace=trigger.namespace,
        max_connections=trigger.parallelism,
    )
