"""What a gateway is made of, by name, and the makers that triggers and relays share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesh_gateway.broker.broker import Broker
from mesh_gateway.broker.reader import Reader
from mesh_gateway.broker.sink import BrokerSink
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.replaced import Replaced
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.delivery.sink import Sink
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import PluginError, TopologyError, UnknownKind
from mesh_gateway.federation.receiver import Receiver
from mesh_gateway.federation.relay import Relay
from mesh_gateway.federation.sieve import Sieve
from mesh_gateway.filters.dialects import Filter, parse
from mesh_gateway.gateway.contained import Contained
from mesh_gateway.gateway.display import DisplaySink
from mesh_gateway.gateway.link import Link
from mesh_gateway.topology.spec import (
    BrokerDestination,
    BrokerSpec,
    DeliverySpec,
    Destination,
    GatewaySpec,
    HttpDestination,
    RelaySpec,
    TransportSpec,
)
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import ChannelSpec, Transport
from mesh_gateway.transport.plugins import Plugins, import_string

DISPLAY = "display:"

RELAY = "relay:"
"""Stands before `namespace/name` where a relay is named among triggers: in its dead letters, and in metrics."""


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
    relays: list[Relay] = field(default_factory=list)
    receiver: Receiver | None = None
    """What peers and relays of this gateway send into it; None when nobody may."""
    sieve: Sieve | None = None
    """Where its transport cannot remember what came by relays."""


@dataclass(slots=True)
class RelayParts:
    """Everything of one relay."""

    spec: RelaySpec
    home: BrokerParts
    relay: Relay


@dataclass(slots=True)
class Parts:
    """Everything of one gateway, by name."""

    spec: GatewaySpec = field(default_factory=GatewaySpec)
    """What it was made of."""
    links: dict[str, Link] = field(default_factory=dict)
    channels: dict[tuple[str, str], tuple[Link, Channel]] = field(default_factory=dict)
    """By the names of transport and channel."""
    brokers: dict[str, BrokerParts] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    filters: dict[str, Filter] = field(default_factory=dict)
    relays: dict[str, RelayParts] = field(default_factory=dict)

    def channel(self, link: Link, spec: ChannelSpec, kept: Channel | None = None) -> Channel:
        """The channel of this description: made, unless one is `kept`."""
        channel = kept or link.channel(spec)
        self.channels[link.name, channel.name] = (link, channel)
        return channel

    def redriven(self, name: str) -> Trigger | Relay | None:
        """Whose dead letters say this name: `namespace/name` of a trigger, or `relay:namespace/name`."""
        if name.startswith(RELAY):
            found = self.relays.get(name.removeprefix(RELAY))
            return None if found is None else found.relay
        return self.triggers.get(name)


@dataclass(slots=True)
class Assembled:
    """New parts, and what is to be done to those of them that run already, all at once."""

    parts: Parts
    in_place: list[Callable[[], Sequence[Replaced]]] = field(default_factory=list)
    """Each gives the sinks that were replaced by it, to be closed. None raises, none waits."""
    reopened: list[Link] = field(default_factory=list)
    """Links whose connections are to be closed and opened anew."""

    def forget(self, running: Parts | None) -> None:
        """These parts will not run: a new trigger that holds back the reader of a running broker lets go of it."""
        kept = {} if running is None else running.triggers
        for key, trigger in self.parts.triggers.items():
            if kept.get(key) is not trigger:
                trigger.gate.let(trigger.parking)


Placed = Callable[[TransportSpec, Transport], Transport]
"""A transport as this process uses it: one of several workers has some events stored elsewhere."""


def as_it_is(spec: TransportSpec, transport: Transport) -> Transport:
    """The transport of a process that is alone."""
    return transport


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
    chance: Callable[[], float] = random.random
    placed: Placed = as_it_is


@dataclass(frozen=True, slots=True)
class Sending:
    """Who sends something somewhere, and how."""

    owner: str
    """`trigger namespace/name` or `relay namespace/name`, for messages."""
    namespace: str
    delivery: DeliverySpec
    replies: bool = False
    parallelism: int = 64


def channel_options(spec: BrokerSpec) -> tuple[tuple[str, str], ...]:
    """What the broker's documents say about its channels, secrets in plain text: for the transport alone."""
    return spec.options + tuple((name, secret.value) for name, secret in spec.secrets)


def make_filter(filters: Sequence[Any], attributes: Sequence[tuple[str, str]], plugins: Plugins) -> Filter:
    """The compiled filter of a document."""
    custom = {name: kind.compile for name, kind in plugins.filters.items()}
    return parse(filters, attributes, custom)


def make_sink(
    destination: Destination,
    sending: Sending,
    parts: Parts,
    around: Surroundings,
) -> Sink:
    """What delivers to a destination. Raises `TopologyError`, `PluginError`."""
    if isinstance(destination, BrokerDestination):
        return BrokerSink(parts.brokers[destination.broker].broker, around.ingress_url(destination.broker))
    if isinstance(destination, HttpDestination):
        try:
            return HttpSink(http_settings(destination, sending))
        except OSError as error:
            raise no_tls(sending.owner, destination.url, error) from error
        except UnicodeError as error:
            raise no_head(sending.owner, destination.url) from error
    if destination.uri.startswith(DISPLAY):
        return DisplaySink(destination.uri)
    scheme = destination.uri.partition(":")[0]
    kind = around.plugins.sinks.get(scheme)
    if kind is None:
        raise UnknownKind(f"{sending.owner}: no plugin delivers to {scheme}: URIs")
    load = import_string(kind.load)
    try:
        return Contained(load(destination.uri))
    except Exception as error:  # a plugin's code
        why = f"{type(error).__name__}: {error}"
        raise PluginError(
            f"{sending.owner}: the plugin for {scheme}: URIs cannot deliver there: {why}"
        ) from error


def http_settings(destination: HttpDestination, sending: Sending) -> HttpSettings:
    """What the HTTP client has to know."""
    certificate = destination.client_certificate
    return HttpSettings(
        url=destination.url,
        timeout=sending.delivery.timeout,
        ca_certificates=destination.ca_certificates,
        client_certificate=None if certificate is None else (certificate.certificate, certificate.key),
        bearer=None if destination.bearer is None else destination.bearer.value,
        insecure_skip_verify=destination.insecure_skip_verify,
        replies=destination.replies and sending.replies,
        format=sending.delivery.format,
        headers=destination.headers,
        namespace=sending.namespace,
        max_connections=sending.parallelism,
    )


def no_tls(owner: str, url: str, error: OSError) -> TopologyError:
    """What `ssl` says (its errors are `OSError`) of a certificate, key or authority that cannot be used, as a fault."""
    return TopologyError(f"{owner}: TLS for {url} cannot be set up: {error.strerror or error}")


def no_head(owner: str, url: str) -> TopologyError:
    """That a request cannot be written; without what is wrong in it, which may be a credential."""
    what = "the host of its URL, its bearer or one of its headers has letters that HTTP cannot carry"
    return TopologyError(f"{owner}: no request to {url} can be written: {what}")


def policy(delivery: DeliverySpec) -> RetryPolicy:
    """The data path's record of a document's retries."""
    return RetryPolicy(
        retry=delivery.retry,
        backoff=delivery.backoff_policy,
        delay=delivery.backoff_delay,
        backoff_max=delivery.backoff_max,
        retry_after_max=delivery.retry_after_max,
        jitter=delivery.jitter,
    )
