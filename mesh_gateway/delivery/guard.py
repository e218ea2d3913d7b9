"""Addresses that are never delivered to, in every spelling.

Documents on disk may name loopback and private addresses: that is where subscribers live. Never
reached are those behind which a cloud keeps credentials, and those that are no single host:
link-local, metadata services, "this network", multicast and broadcast, and the IPv6 forms that
carry any of them inside. The check is made on the *resolved* address at connect time, so that
neither a decimal spelling nor a name nor a redirected DNS answer gets around it.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

_BLOCKED_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "169.254.0.0/16",  # link-local, and every large cloud's metadata
        "100.100.100.200/32",  # Alibaba's metadata
        "192.0.0.192/32",  # Oracle's metadata
        "168.63.129.16/32",  # Azure's host
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",
    )
)
_BLOCKED_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::/128",
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, withdrawn
        "fd00:ec2::254/128",  # Amazon's metadata
        "fd20:ce::254/128",  # Google's metadata
        "ff00::/8",  # multicast
    )
)
_EMBEDDING = (
    # (network, bits to the right of the IPv4 address inside)
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("::/96"), 0),  # compatible
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),  # local-use NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
_TEREDO = ipaddress.IPv6Network("2001::/32")


def refusal(text: str) -> str | None:
    """Why this resolved address is not delivered to; None when it may be."""
    address = ipaddress.ip_address(text.partition("%")[0])
    blocked = _blocked(address)
    return f"address not allowed: {text} is {blocked}" if blocked else None


def _blocked(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return next((f"in {network}" for network in _BLOCKED_4 if address in network), "")
    if found := next((f"in {network}" for network in _BLOCKED_6 if address in network), ""):
        return found
    inside = _inside(address)
    return f"{inside} inside ({_blocked(inside)})" if inside is not None and _blocked(inside) else ""


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address carries."""
    number = int(address)
    if number <= 1:
        return None  # ::1 is loopback, not 0.0.0.1
    for network, shift in _EMBEDDING:
        if address in network:
            return IPv4Address(number >> shift & 0xFFFFFFFF)
    if address in _TEREDO:
        return IPv4Address(~number & 0xFFFFFFFF)  # the client's address is stored inverted
    return None
