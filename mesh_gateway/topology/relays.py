"""A Relay document as what runs: its broker, filter, destination with credentials, and delivery."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlsplit

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.topology import documents, parts
from mesh_gateway.topology.annotations import check
from mesh_gateway.topology.delivery import PATH, delivery_spec, would_come_back
from mesh_gateway.topology.destinations import Addresses
from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.kinds import Compile
from mesh_gateway.topology.reach import Site, is_loopback, reached
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import References
from mesh_gateway.topology.spec import (
    RELAY_DELIVERY,
    BrokerDestination,
    ClientCertificateSpec,
    HttpDestination,
    IngressSpec,
    PluginDestination,
    RelaySpec,
    Secret,
)
from mesh_gateway.topology.triggers import filter_of, known_broker, members

TO: Path = ("spec", "to")
AUTH: Path = ("spec", "auth")


class Credentials(NamedTuple):
    """By which the other side knows who sends."""

    bearer: Secret | None
    client_certificate: ClientCertificateSpec | None


@dataclass(frozen=True, slots=True)
class RelayReader:
    """Makes relays; everything that is wrong with one is noted before it is given up."""

    brokers: Collection[str]
    addresses: Addresses
    dialects: Mapping[str, Compile]
    references: References
    ingress: IngressSpec

    def relay(self, resource: Resource) -> tuple[RelaySpec, Filter] | None:
        """The relay and its compiled filter; None when it cannot run."""
        check(resource, {})
        filters, _, compiled = filter_of(resource, self.dialects)
        broker = self._broker(resource)
        found = resource.spec
        if not isinstance(found, documents.Relay):
            return None
        destination = self._destination(found, resource)
        delivery = RELAY_DELIVERY
        if found.delivery is not None:
            delivery = delivery_spec(found.delivery, resource, self.addresses, missing=RELAY_DELIVERY)
        if broker is None or destination is None or compiled is None:
            return None
        spec = RelaySpec(
            namespace=resource.namespace,
            name=resource.name,
            broker=broker,
            destination=destination,
            delivery=delivery,
            filters=filters,
            rate=found.rate_limit.events_per_second if found.rate_limit else None,
            compression=found.compression,
            start=found.start,
        )
        self._check_ends(spec, resource)
        return spec, compiled

    def _broker(self, resource: Resource) -> str | None:
        name = members(resource.value.get("spec")).get("from")
        if not isinstance(name, str):
            return None  # noted with the shape of the document
        key = f"{resource.namespace}/{name}"
        return known_broker(key, resource, ("spec", "from"), self.brokers, partial=self.addresses.partial)

    def _destination(
        self, found: documents.Relay, resource: Resource
    ) -> HttpDestination | BrokerDestination | None:
        destination = self.addresses.resolve(found.to, resource, TO)
        given = self._given(found.auth, resource)
        match destination:
            case PluginDestination(uri):
                message = f"{uri!r} is for Triggers; a Relay leads to a Broker, or to http or https"
                resource.fault("MG027", (*TO, "uri"), message)
                return None
            case BrokerDestination():
                if given is not None:
                    message = "a Broker of this gateway is reached in process and asks for no credentials; take them away"
                    resource.fault("MG010", AUTH, message, key=True)
                return destination
            case HttpDestination():
                if given is not None:
                    destination = replace(destination, **given._asdict())
                _check_credentials(destination, resource)
                return replace(destination, replies=False)
        return None

    def _given(self, auth: parts.Auth, resource: Resource) -> Credentials | None:
        """The relay's own credentials; None when it has none."""
        if auth.bearer is None and auth.client_certificate is None:
            return None
        bearer = certificate = None
        if auth.bearer is not None:
            bearer = self.references.secret(auth.bearer.value_from, resource, (*AUTH, "bearer", "valueFrom"))
        if auth.client_certificate is not None:
            files = self.references.key_pair(auth.client_certificate, resource, (*AUTH, "clientCertificate"))
            certificate = ClientCertificateSpec(*files)
        return Credentials(bearer, certificate)

    def _check_ends(self, relay: RelaySpec, resource: Resource) -> None:
        """A relay leads somewhere else, and so do its dead letters."""
        if self._target(relay) == relay.broker:
            message = (
                f"leads back into Broker {relay.broker}, from which its events come; take another Broker"
            )
            resource.fault("MG042", TO, message, key=True)
        sink = relay.delivery.dead_letter_sink
        if isinstance(sink, BrokerDestination) and sink.broker == relay.broker:
            resource.fault("MG041", (*PATH, "deadLetterSink"), would_come_back(relay.broker), key=True)

    def _target(self, relay: RelaySpec) -> str | None:
        """The broker of this gateway that it leads to, in process or through the own ingress."""
        if isinstance(relay.destination, BrokerDestination):
            return relay.destination.broker
        found = reached(relay.destination.url, 0, [Site(self.ingress, self.brokers)])
        return found[0].broker if found else None


def has_credential(to: HttpDestination) -> bool:
    """Whether the other side can know who sends: a certificate is shown only over TLS."""
    return to.bearer is not None or (to.client_certificate is not None and _is_secure(to))


def _is_secure(to: HttpDestination) -> bool:
    return to.url.lower().startswith("https:")


def _check_credentials(to: HttpDestination, resource: Resource) -> None:
    """Warn of a sender whom nobody can know, and of a token that others can read."""
    if to.client_certificate is not None and not _is_secure(to):
        resource.fault("MG046", _place(resource), "a certificate is shown only over TLS; use https", key=True)
    elif not has_credential(to):
        resource.fault("MG046", TO, ANONYMOUS, key=True)
    if to.bearer is not None and not _is_secure(to) and not is_loopback(urlsplit(to.url).hostname or ""):
        message = f"the token travels in the clear to {urlsplit(to.url).hostname}; use https"
        resource.fault("MG045", _place(resource), message, key=True)


ANONYMOUS = (
    "has no credential: a gateway strips what the loop guard and deduplication need from a sender it does not know, so "
    "give it auth, and peers on the other side (to a plain Knative Broker there is neither)"
)


def _place(resource: Resource) -> Path:
    """The relay's own credentials, or what brings them."""
    return AUTH if resource.says(AUTH) else TO
