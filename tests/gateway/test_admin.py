"""The admin API's guard: who may ask, in whatever spelling."""

from __future__ import annotations

import pytest

from mesh_gateway.gateway.admin.guard import is_local


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8081", "127.0.0.1", "localhost", "localhost:8081", "[::1]:8081", "[::1]", "10.0.0.7:80"],
)
def test_an_address_is_an_address(host):
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8081", "localhost.evil.example", "", "127.0.0.1.evil.example:1"]
)
def test_a_name_that_dns_decides_is_none(host):
    assert not is_local(host)
