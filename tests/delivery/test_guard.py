"""Addresses that are never delivered to, in many spellings; and those that are."""

from __future__ import annotations

import pytest

from mesh_gateway.delivery.guard import refusal


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "192.88.99.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1",
        "fd00:ec2::254", "ff02::1", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:0:0:0:0:5601:5601", "::ffff:0.0.0.0", "::ffff:224.0.0.1",
    ],
)  # fmt: skip
def test_it_is_refused(address):
    assert refusal(address) is not None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "::1",
        "fd00::1",
        "8.8.8.8",
        "2606:4700::1111",
        "::ffff:10.0.0.1",
        "64:ff9b::808:808",
    ],
)
def test_loopback_private_and_public_addresses_are_allowed(address):
    assert refusal(address) is None
