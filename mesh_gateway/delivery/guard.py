"""Addresses that are never delivered to, in every spelling.

Documents on disk may name loopback and private addresses: that is where subscribers live. Never
reached are those behind which a cloud keeps credentials, and those that are no single host:
link-local, metadata services, "this network", multicast and broadcast, and the IPv6 forms that
carry any of them inside. The check is made on the *resolved* address at connect time, so that
neither a decimal spelling nor a name nor a redirected DNS answer gets around it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
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
        "fd00:ec2::23/128",  # Amazon's credentials of pods
        "fd20:ce::254/128",  # Google's metadata
        "ff00::/8",  # multicast
    )
)
_EMBEDDING = (
    # (network, bits to the right of the IPv4 address inside)
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # translated (RFC 2765)
    (ipaddress.IPv6Network("::/96"), 0),  # compatible
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
    (ipaddress.IPv6Network("2001::/32"), 64),  # Teredo: the server's address
)
_TEREDO = ipaddress.IPv6Network("2001::/32")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface identifier whose lower half is an IPv4 address (RFC 5214, 6.1)."""


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
    return next((f"{inside} inside ({why})" for inside in _inside(address) if (why := _blocked(inside))), "")


def _inside(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address carries, in every way of carrying one."""
    number = int(address)
    if number <= 1:
        return  # ::1 is loopback, not 0.0.0.1
    for network, shift in _EMBEDDING:
        if address in network:
            yield _cut(number, shift)
    if address in _TEREDO:
        yield _cut(~number, 0)  # the client's address is stored inverted
    if address in _LOCAL_NAT64:
        yield from _translated(number)
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        yield _cut(number, 0)


def _translated(number: int) -> list[IPv4Address]:
    """Behind a NAT64 prefix of 96, 64, 56 or 48 bits, whichever its operator chose: bits 64 to 71 are left out by the
    shorter ones (RFC 6052, 2.2). What reads as 0.0.0.0 is the empty part of another way.
    """
    joined = number >> 64 << 56 | number & (1 << 56) - 1
    ways = [_cut(number, 0), *(_cut(joined, 120 - prefix - 32) for prefix in (64, 56, 48))]
    return [inside for inside in ways if int(inside) >> 24] or ways


def _cut(number: int, shift: int) -> IPv4Address:
    return IPv4Address(number >> shift & 0xFFFFFFFF)
