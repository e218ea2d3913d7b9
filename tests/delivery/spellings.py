"""Addresses that are never delivered to, in every spelling that some resolver, parser or network understands."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

BLOCKED_4 = (
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "0.0.0.0",
    "0.1.2.3", "192.88.99.1", "224.0.0.1", "239.255.255.255", "255.255.255.255",
)  # fmt: skip
BLOCKED_6 = (
    "::", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "ff02::1", "ff0e::1",
)  # fmt: skip

LOCAL_NAT64 = int(IPv6Address("64:ff9b:1::"))

CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")
WIDE = str.maketrans("0123456789.", "０１２３４５６７８９。")
BOLD = str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")


def numbers(address: str) -> Iterator[str]:
    """An IPv4 address as C libraries read numbers and dots (inet_aton)."""
    number = int(IPv4Address(address))
    a, b, c, d = number.to_bytes(4, "big")
    yield address
    yield str(number)
    yield hex(number)
    yield f"0X{number:08X}"
    yield f"0x{number:016x}"
    yield f"0{number:o}"
    yield f"{a}.{number & 0xFFFFFF}"
    yield f"{a}.{b}.{number & 0xFFFF}"
    yield f"{a:#x}.{number & 0xFFFFFF:#x}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"000{a:o}.0000{b:o}.0{c:o}.0{d:o}"
    yield f"{a}.{b:#x}.0{c:o}.{d}"
    yield f"{a:#x}.{b}.0{number & 0xFFFF:o}"


def letters(address: str) -> Iterator[str]:
    """An IPv4 address in digits that only IDNA takes for digits."""
    yield address.translate(CIRCLED)
    yield address.translate(WIDE)
    yield address.translate(BOLD)
    yield address.replace(".", "。")


def inside(address: str) -> Iterator[str]:
    """IPv6 addresses that carry an IPv4 address to where it leads."""
    number = int(IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    yield f"::ffff:{address}"
    yield f"::ffff:{high:x}:{low:x}"
    yield f"0:0:0:0:0:ffff:{high:x}:{low:x}"
    yield f"0000:0000:0000:0000:0000:FFFF:{high:04X}:{low:04X}"
    yield f"::ffff:0:{high:x}:{low:x}"
    yield f"64:ff9b::{address}"
    yield f"64:ff9b::{high:x}:{low:x}"
    yield f"2002:{high:x}:{low:x}::1"
    yield f"2001:0:{high:x}:{low:x}::1"
    yield f"2001:0:4136:e378:8000:63bf:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    yield f"fd00::5efe:{high:x}:{low:x}"
    yield f"fd00::200:5efe:{high:x}:{low:x}"
    if number >> 16:
        yield f"::{high:x}:{low:x}"
    if number >> 24:  # else the part that is 0 is no address, whatever the prefix
        yield f"64:ff9b:1::{high:x}:{low:x}"
        yield str(IPv6Address(LOCAL_NAT64 | number >> 16 << 64 | (number & 0xFFFF) << 40))
        yield str(IPv6Address(LOCAL_NAT64 | number >> 24 << 64 | (number & 0xFFFFFF) << 32))
        yield str(IPv6Address(LOCAL_NAT64 | number << 24))


def six(address: str) -> Iterator[str]:
    """An IPv6 address, short and long, in both letters."""
    whole = IPv6Address(address)
    yield from dict.fromkeys(
        (address, address.upper(), whole.exploded, whole.exploded.upper(), whole.compressed)
    )


RESOLVED: tuple[str, ...] = (
    *BLOCKED_4,
    *(text for address in BLOCKED_4 for text in inside(address)),
    *(text for address in BLOCKED_6 for text in six(address)),
    "fe80::1%lo",
    "fe80::a9fe:a9fe%1",
)
"""As a resolver may answer."""

HOSTS: tuple[str, ...] = (
    *dict.fromkeys(text for address in BLOCKED_4 for text in numbers(address)),
    *dict.fromkeys(text for address in BLOCKED_4 for text in letters(address)),
    *(f"[{text}]" for text in RESOLVED if ":" in text and "%" not in text),
)
"""As they may stand in a URL."""
