"""Where events go: refs and URIs to what the data path can use (Knative's Destination and Addressable)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urljoin, urlsplit

from mesh_gateway.delivery import guard
from mesh_gateway.topology.documents import EVENTING, OURS, DestinationDoc, Reference
from mesh_gateway.topology.spec import BrokerDestination, Destination, HttpDestination, PluginDestination

HTTP = ("http", "https")
SERVICES = {("v1", "Service"), ("serving.knative.dev/v1", "Service")}


class Unresolvable(ValueError):
    """A destination leads nowhere: `code` says in which way, `field` where."""

    def __init__(self, code: str, message: str, field: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class Addresses:
    """Everything a destination may lead to."""

    brokers: Collection[str]
    endpoints: Mapping[str, HttpDestination]
    schemes: Collection[str]
    resolve: str
    """Template from a Service's name and namespace to a URL."""


def resolve(document: DestinationDoc, namespace: str, addresses: Addresses) -> Destination:
    """What a destination means. Raises `Unresolvable`."""
    if document.ref is None:
        if document.uri is None:
            raise Unresolvable("MG010", "needs a ref or a uri")
        return _from_uri(document.uri, document, addresses)
    found = _from_ref(document.ref, namespace, addresses)
    if document.uri is not None:
        found = _below(found, document.uri)
    if document.ca_certs and isinstance(found, HttpDestination):
        found = replace(found, ca_certificates=document.ca_certs)
    return found


def _from_uri(uri: str, document: DestinationDoc, addresses: Addresses) -> Destination:
    scheme = uri.partition(":")[0].lower()
    if scheme in addresses.schemes:
        return PluginDestination(uri)
    check_url(uri, addresses.schemes)
    return HttpDestination(uri, ca_certificates=document.ca_certs)


def _from_ref(ref: Reference, namespace: str, addresses: Addresses) -> Destination:
    where = ref.namespace or namespace
    version = ref.api_version or ref.group or ""
    key = f"{where}/{ref.name}"
    if ref.kind == "Broker" and version in ("", EVENTING, "eventing.knative.dev"):
        if key not in addresses.brokers:
            raise Unresolvable("MG021", f"there is no Broker {key} in the files", ("ref", "name"))
        return BrokerDestination(key)
    if ref.kind == "Endpoint" and version in ("", OURS, "mesh-gateway.dev"):
        if key not in addresses.endpoints:
            raise Unresolvable("MG021", f"there is no Endpoint {key} in the files", ("ref", "name"))
        return addresses.endpoints[key]
    if ref.kind == "Service" and (version in ("", "serving.knative.dev") or (version, "Service") in SERVICES):
        if key in addresses.endpoints:
            return addresses.endpoints[key]
        url = addresses.resolve.replace("{name}", ref.name).replace("{namespace}", where)
        check_url(url, ())
        return HttpDestination(url)
    raise Unresolvable(
        "MG022",
        f"{ref.kind} {key} is not served here; name its address with a uri, or an Endpoint with that url",
        ("ref", "kind"),
    )


def _below(found: Destination, uri: str) -> Destination:
    if urlsplit(uri).scheme:
        raise Unresolvable("MG010", "beside a ref the uri must be relative", ("uri",))
    if not isinstance(found, HttpDestination):
        raise Unresolvable("MG010", "a Broker in this gateway has no paths below it", ("uri",))
    return replace(found, url=urljoin(found.url, uri))


def check_url(url: str, schemes: Collection[str]) -> SplitResult:
    """A URL that can be delivered to. Raises `Unresolvable`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unresolvable("MG027", f"{url!r} is not a URL: {error}", ("uri",)) from None
    if parts.scheme not in HTTP:
        known = ", ".join([*HTTP, *schemes])
        raise Unresolvable("MG027", f"{url!r}: the scheme must be one of {known}", ("uri",))
    if not parts.hostname:
        raise Unresolvable("MG027", f"{url!r} has no host", ("uri",))
    if parts.username is not None:
        raise Unresolvable("MG027", "a URL holds no credentials; use an Endpoint with auth", ("uri",))
    if port == 0 or any(c <= " " or c == "\x7f" for c in url):
        raise Unresolvable("MG027", f"{url!r} is not a URL", ("uri",))
    _check_literal(parts.hostname)
    return parts


def _check_literal(host: str) -> None:
    """An address in any spelling; names are checked when they are resolved."""
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:
            address = socket.inet_ntoa(socket.inet_aton(host))  # 0x7f.1, 2130706433 and their like
        except OSError:
            return
    refusal = guard.refusal(address)
    if refusal is not None:
        raise Unresolvable("MG027", refusal, ("uri",))
