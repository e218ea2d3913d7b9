"""Where events go: Knative's Destination (`ref`, `uri` or both) as something the data path can deliver to."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urljoin, urlsplit

from mesh_gateway.delivery import guard
from mesh_gateway.topology import parts
from mesh_gateway.topology.documents import EVENTING, OURS
from mesh_gateway.topology.faults import Path, Severity
from mesh_gateway.topology.knative import SERVICES
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import Unreadable, pem
from mesh_gateway.topology.spec import BrokerDestination, Destination, HttpDestination, PluginDestination

HTTP = ("http", "https")
DISPLAY = "display"
"""The scheme of the built-in sink that prints."""

METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data"})
"""Names under which clouds serve credentials."""


class Unresolvable(Exception):
    """A destination leads nowhere: `code` says in which way, `path` where in the destination."""

    def __init__(self, code: str, message: str, *path: str) -> None:
        super().__init__(message)
        self.code = code
        self.path = path


@dataclass(slots=True)
class Addresses:
    """Everything a destination may lead to."""

    brokers: Collection[str]
    endpoints: Mapping[str, HttpDestination | None]
    """None for one that is in the files and faulty: reported once, not by everybody who refers to it."""
    schemes: Collection[str] = frozenset()
    """URI schemes that plugins deliver to."""
    template: str = "http://{name}"
    """From a Service's name and namespace to its URL."""
    partial: bool = False
    """There are more files than these, so what is not here may be there."""
    _hosts: set[str] = field(default_factory=set)

    def resolve(self, found: parts.Destination, resource: Resource, path: Path) -> Destination | None:
        """What the destination at `path` of `resource` means; None after noting why it means nothing."""
        for name, value in (("audience", found.audience), ("ref", found.ref and found.ref.address)):
            if value is not None:
                where = (*path, name) if name == "audience" else (*path, name, "address")
                resource.fault("MG205", where, "has no effect here", key=True)
        try:
            return self._destination(found, resource.home)
        except Unresolvable as error:
            absent = error.code == "MG021" and self.partial
            severity: Severity | None = "warning" if absent else None
            resource.fault(error.code, (*path, *error.path), str(error), severity=severity)
            return None

    def _destination(self, found: parts.Destination, namespace: str) -> Destination | None:
        if found.ref is None:
            return self._uri(found)
        base = self._ref(found.ref, namespace, secure=found.ca_certs is not None)
        if found.uri is not None:
            base = self._below(base, found.uri)
        return self._trusting(base, found.ca_certs) if isinstance(base, HttpDestination) else base

    def _uri(self, found: parts.Destination) -> Destination:
        uri = found.uri or ""
        scheme = uri.partition(":")[0].lower()
        if scheme == DISPLAY or scheme in self.schemes:
            if _carries_credentials(uri):
                raise Unresolvable(
                    "MG027", "a URI carries no credentials: status, graph and logs show it", "uri"
                )
            return PluginDestination(uri)
        self.check(uri, "uri")
        return self._trusting(HttpDestination(uri), found.ca_certs)

    def _trusting(self, to: HttpDestination, certificates: str | None) -> HttpDestination:
        """With the destination's own CACerts, which beat those of what it refers to."""
        if certificates is None:
            return to
        try:
            return replace(to, ca_certificates=pem(certificates))
        except Unreadable as error:
            raise Unresolvable("MG026", str(error), "CACerts") from error

    def _ref(self, ref: parts.Reference, namespace: str, *, secure: bool) -> Destination | None:
        key = f"{ref.namespace or namespace}/{ref.name}"
        match self._kind(ref):
            case "Broker":
                return BrokerDestination(self._known(key, self.brokers, "Broker"))
            case "Endpoint":
                return self.endpoints[self._known(key, self.endpoints, "Endpoint")]
            case _ if key in self.endpoints:
                # An Endpoint of a Service's name says where that Service is.
                return self.endpoints[key]
        url = service_url(self.template, ref.name, ref.namespace or namespace)
        if secure and url.startswith("http:"):
            url = "https:" + url.removeprefix("http:")  # as Knative's resolver has it
        self.check(url, "ref")
        return HttpDestination(url)

    def _kind(self, ref: parts.Reference) -> str:
        group = ref.group or (ref.api_version or "").rpartition("/")[0]
        given = bool(ref.group or ref.api_version)
        for kind, groups in _GROUPS.items():
            if ref.kind == kind and (not given or group in groups):
                return kind
        named = f"{ref.api_version or ref.group} {ref.kind}" if given else ref.kind
        raise Unresolvable(
            "MG022", f"{named} is not served here; name its address with a uri, or an Endpoint", "ref", "kind"
        )

    def _known(self, key: str, known: Collection[str], kind: str) -> str:
        if key in known:
            return key
        there = f"; there are: {', '.join(sorted(known)[:10])}" if known else ""
        raise Unresolvable("MG021", f"there is no {kind} {key} in the files{there}", "ref", "name")

    def _below(self, base: Destination | None, uri: str) -> Destination | None:
        """The ref's address with a relative uri resolved against it (RFC 3986, 5.2)."""
        parts = urlsplit(uri)
        if parts.scheme or parts.netloc:
            raise Unresolvable(
                "MG010", "beside a ref the uri must be relative: a path such as /events", "uri"
            )
        if isinstance(base, BrokerDestination):
            raise Unresolvable("MG010", "a Broker is reached in process and has no paths below it", "uri")
        if not isinstance(base, HttpDestination):
            return base
        url = urljoin(base.url, uri)
        self.check(url, "uri")
        return replace(base, url=url)

    def check(self, url: str, *path: str) -> SplitResult:
        """See that a URL can be delivered to. Raises `Unresolvable`."""
        parts = split(url, path, [*HTTP, *sorted(self.schemes)])
        host = parts.hostname or ""
        if host not in self._hosts:
            check_host(host, path)
            self._hosts.add(host)
        return parts


_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Broker": (EVENTING.partition("/")[0],),
    "Endpoint": (OURS.partition("/")[0],),
    "Service": tuple(version.rpartition("/")[0] for version, _ in SERVICES),
}
"""What a ref may name: kind -> API groups; the version does not matter."""


def service_url(template: str, name: str, namespace: str) -> str:
    """The URL of a Service."""
    return template.replace("{name}", name).replace("{namespace}", namespace)


def split(url: str, path: tuple[str, ...], schemes: Collection[str]) -> SplitResult:
    """The parts of an absolute URL with a host. Raises `Unresolvable`."""
    if any(c <= " " or c == "\x7f" for c in url):
        raise Unresolvable("MG027", "a URL has no blanks and no control characters", *path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unresolvable("MG027", f"not a URL: {_cause(error)}", *path) from error
    if _carries_credentials(url):
        raise Unresolvable("MG027", "a URL carries no credentials; use an Endpoint with auth", *path)
    if parts.scheme not in HTTP:
        known = ", ".join(schemes)
        hint = "; write http://… in front" if not parts.scheme or "://" not in url else ""
        raise Unresolvable("MG027", f"{url!r} must begin with one of {known}{hint}", *path)
    if not parts.hostname or port == 0:
        raise Unresolvable("MG027", f"{url!r} has no {'port' if parts.hostname else 'host'}", *path)
    if not parts.hostname.isascii() and _plain(parts.hostname).isascii():
        raise Unresolvable("MG027", "the host has letters that only look like ASCII", *path)
    if not (parts.path + parts.query).isascii():
        raise Unresolvable(
            "MG027", "outside the host a URL has ASCII letters only; write the others as %XX, in UTF-8", *path
        )
    return parts


def _cause(error: ValueError) -> str:
    """Python's reason without what it quotes: a password may stand where a port is looked for."""
    if str(error).startswith("Port"):
        return str(error) if "out of range" in str(error) else "its port is not a number"
    return "its host cannot be read; an IPv6 address stands in brackets"


def _carries_credentials(url: str) -> bool:
    """Whether a name or a password stands before the host, also where the scheme was forgotten."""
    authority = url.partition("//")[2] or url
    return "@" in re.split(r"[/?#]", authority, maxsplit=1)[0]


def _plain(host: str) -> str:
    """A host in the letters that a resolver takes it for: IDNA knows three more full stops."""
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".")


def check_host(host: str, path: tuple[str, ...]) -> None:
    """An address in any spelling, or what can be a name; where it leads is seen when it is resolved. Raises `Unresolvable`."""
    if ":" not in host:
        try:
            host.encode("idna")
        except UnicodeError as error:
            why = "a part between its dots is empty, longer than 63 letters, or has letters that no name may have"
            raise Unresolvable("MG027", f"{host} is no name of a host: {why}", *path) from error
    if host.rstrip(".") in METADATA_NAMES:
        raise Unresolvable("MG027", f"{host} is where a cloud keeps credentials", *path)
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        try:
            address = socket.inet_ntoa(socket.inet_aton(host))  # 0x7f.1, 2130706433 and their like
        except (OSError, ValueError):
            return
    refusal = guard.refusal(address)
    if refusal is not None:
        raise Unresolvable("MG027", refusal, *path)
