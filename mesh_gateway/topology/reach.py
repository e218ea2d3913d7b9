"""Whose Broker a URL is: `ingress.url` says how a gateway is reached, without it where it listens does."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from mesh_gateway.topology.spec import GatewaySpec, IngressSpec

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """One gateway, as seen by those who send to it."""

    ingress: IngressSpec
    brokers: Collection[str]

    @classmethod
    def of(cls, spec: GatewaySpec) -> Site:
        return cls(spec.ingress, spec.brokers)


class Reached(NamedTuple):
    """A broker of the site with this number."""

    site: int
    broker: str


def reached(url: str, origin: int, sites: Sequence[Site]) -> list[Reached]:
    """The brokers that `url` may mean when the site `origin` sends to it; more than one when several gateways listen alike.

    A public URL comes before a listener, a listener on that very address before one on all addresses. For its own
    gateway, a listener on all addresses counts only with a loopback host: any other host is some other machine.
    """
    parts = urlsplit(url)
    found = [*_by_url(parts, sites)] or [(i, parts.path) for i in _by_listener(parts, origin, sites)]
    named = [(i, path.strip("/")) for i, path in found if path.startswith("/")]
    return [Reached(i, name) for i, name in named if name in sites[i].brokers]


def _by_url(parts: SplitResult, sites: Sequence[Site]) -> list[tuple[int, str]]:
    """(site, path below its URL) of those with the longest URL that this one lies below."""
    below: list[tuple[int, int, str]] = []
    for i, site in enumerate(sites):
        if site.ingress.url is None:
            continue
        base = urlsplit(site.ingress.url)
        if _origin(base) == _origin(parts) and parts.path.startswith(base.path + "/"):
            below.append((len(base.path), i, parts.path.removeprefix(base.path)))
    longest = max((length for length, _, _ in below), default=0)
    return [(i, path) for length, i, path in below if length == longest]


def _by_listener(parts: SplitResult, origin: int, sites: Sequence[Site]) -> list[int]:
    _, host, port = _origin(parts)
    listening = [i for i, site in enumerate(sites) if port and site.ingress.port == port]
    exact = [i for i in listening if _same(sites[i].ingress.host, host)]
    anywhere = [i for i in listening if is_everywhere(sites[i].ingress.host)]
    own = origin in exact or (origin in anywhere and is_loopback(host))
    if own:
        return [origin]
    return exact or [i for i in anywhere if i != origin]


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


def _same(one: str, other: str) -> bool:
    """Two names of one host; `localhost` is any loopback address."""
    named = "localhost" in (one, other)
    return one.lower() == other.lower() or (named and is_loopback(one) and is_loopback(other))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Whether a listener on `host` has every address of its machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
