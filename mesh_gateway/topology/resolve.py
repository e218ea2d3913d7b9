"""From documents to the spec: references followed, defaults filled in, the mesh looked at as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.topology import cycles, documents, lint, needs
from mesh_gateway.topology.delivery import INSTALLED, delivery_spec
from mesh_gateway.topology.destinations import Addresses, Unresolvable, service_url
from mesh_gateway.topology.endpoints import endpoint
from mesh_gateway.topology.faults import Path, meant
from mesh_gateway.topology.gateway import gateway_spec
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.knative import LOOKED_UP
from mesh_gateway.topology.peers import Ground, peer_specs
from mesh_gateway.topology.reach import Site
from mesh_gateway.topology.relays import RelayReader
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import References
from mesh_gateway.topology.spec import DeliverySpec, GatewaySpec, RelaySpec, TransportSpec, TriggerSpec
from mesh_gateway.topology.transports import EMBEDDED, Choice, transport_spec
from mesh_gateway.topology.triggers import TriggerReader

S = TypeVar("S", bound=TriggerSpec | RelaySpec)


class Resolved(NamedTuple):
    """The spec, and this gateway's part in a picture of several."""

    spec: GatewaySpec
    part: cycles.Part


def resolve(
    resources: Sequence[Resource], environment: Mapping[str, str], kinds: Kinds, *, partial: bool
) -> Resolved:
    """The spec of these documents. It is whole only if no error was noted on the way."""
    of = _by_kind(resources)
    references = References(environment, of["Secret"])
    document = next(iter(of["Gateway"].values()), None)
    gateway = (
        document.spec if document and isinstance(document.spec, documents.Gateway) else documents.Gateway()
    )

    found = _transports(of["Transport"], kinds, references)
    _check_choices(document, gateway, found)
    choice = Choice(
        found, gateway.default_transport, gateway.broker_classes, _configs(resources), kinds, references
    )
    brokers = of["Broker"]
    spec = gateway_spec(document, gateway, references)
    ground = Ground(spec.cluster, spec.ingress, brokers, partial)
    peers = peer_specs(document, references, ground)

    addresses = _addresses(document, gateway, of, kinds, references, partial=partial)
    default = INSTALLED
    if document is not None and gateway.delivery is not None:
        default = delivery_spec(gateway.delivery, document, addresses)
    deliveries = {key: _delivery(broker, default, addresses) for key, broker in brokers.items()}
    trigger_reader = TriggerReader(brokers, deliveries, addresses, kinds.filters)
    relay_reader = RelayReader(brokers, addresses, kinds.filters, references, spec.ingress)
    made_triggers = _made(of["Trigger"], trigger_reader.trigger)
    made_relays = _made(of["Relay"], relay_reader.relay)
    triggers = {key: trigger for key, (trigger, _, _) in made_triggers.items()}
    relays = {key: relay for key, (relay, _, _) in made_relays.items()}
    hops = tuple(cycles.hops(made_triggers, made_relays))
    part = cycles.Part(spec.cluster, Site(spec.ingress, brokers), hops)
    cycles.check([part])
    lint.own_dead_letters(brokers, deliveries, triggers, of["Trigger"])
    on_transports = {key: choice.broker_spec(broker) for key, broker in brokers.items()}
    offers = needs.Offers(on_transports, found, kinds)
    needs.check(triggers, of["Trigger"], offers)
    needs.check_relays(relays, of["Relay"], offers)
    needs.check_size(document, gateway.ingress.max_event_bytes, offers)
    whole = replace(
        spec,
        peers=peers,
        brokers=on_transports,
        transports={name: spec for name, spec in found.items() if spec is not None},
        triggers=triggers,
        relays=relays,
    )
    return Resolved(whole, part)


def _by_kind(resources: Sequence[Resource]) -> dict[str, dict[str, Resource]]:
    kinds = ("Gateway", "Transport", "Endpoint", "Broker", "Trigger", "Relay", "Secret")
    of: dict[str, dict[str, Resource]] = {kind: {} for kind in kinds}
    for resource in resources:
        if resource.kind in of:
            of[resource.kind][resource.key] = resource
    return of


def _configs(resources: Sequence[Resource]) -> dict[tuple[str, str], Resource]:
    """What a Broker's `config` may name, besides a Transport."""
    return {
        (resource.kind, resource.key): resource
        for resource in resources
        if (resource.api_version, resource.kind) in LOOKED_UP
    }


def _transports(
    resources: Mapping[str, Resource], kinds: Kinds, references: References
) -> dict[str, TransportSpec | None]:
    """Every transport by name; None for a faulty one. The embedded one needs no document."""
    found: dict[str, TransportSpec | None] = {EMBEDDED: TransportSpec(EMBEDDED, EMBEDDED)}
    return found | {name: transport_spec(one, kinds, references) for name, one in resources.items()}


def _check_choices(
    document: Resource | None, gateway: documents.Gateway, found: Mapping[str, TransportSpec | None]
) -> None:
    """The transports that the Gateway names are there."""
    if document is None:
        return
    named: list[tuple[Path, str]] = [(("spec", "defaultTransport"), gateway.default_transport)]
    named += [(("spec", "brokerClasses", name), to) for name, to in gateway.broker_classes.items()]
    for path, name in named:
        if name not in found:
            hint = meant(name, found) or f"; there are: {', '.join(found)}"
            document.fault("MG023", path, f"there is no Transport {name!r}{hint}")


def _addresses(
    document: Resource | None,
    gateway: documents.Gateway,
    of: Mapping[str, Mapping[str, Resource]],
    kinds: Kinds,
    references: References,
    *,
    partial: bool,
) -> Addresses:
    addresses = Addresses(of["Broker"], {}, kinds.sinks, gateway.resolve, partial=partial)
    addresses.endpoints = {key: endpoint(one, addresses, references) for key, one in of["Endpoint"].items()}
    if document is not None:
        try:
            sample = service_url(gateway.resolve, "name", "namespace")
            if "{" in sample:
                raise Unresolvable("MG027", "knows {name} and {namespace}, nothing else in braces")
            addresses.check(sample)
        except Unresolvable as error:
            document.fault(error.code, ("spec", "resolve"), str(error))
            addresses.template = documents.Gateway().resolve
    return addresses


def _delivery(broker: Resource, default: DeliverySpec, addresses: Addresses) -> DeliverySpec:
    found = broker.spec.delivery if isinstance(broker.spec, documents.Broker) else None
    return default if found is None else delivery_spec(found, broker, addresses)


def _made(
    resources: Mapping[str, Resource], make: Callable[[Resource], tuple[S, Filter] | None]
) -> dict[str, tuple[S, Filter, Resource]]:
    """The specs and filters of those that can run, with their documents."""
    found: dict[str, tuple[S, Filter, Resource]] = {}
    for key, resource in resources.items():
        made = make(resource)
        if made is not None:
            found[key] = (*made, resource)
    return found
