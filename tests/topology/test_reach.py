"""Whose Broker a URL is."""

from __future__ import annotations

import pytest

from mesh_gateway.topology.reach import Site, reached
from mesh_gateway.topology.spec import IngressSpec


def site(listen: str, url: str | None = None) -> Site:
    host, _, port = listen.rpartition(":")
    return Site(IngressSpec(host=host, port=int(port), url=url), {"shop/orders"})


def whose(url: str, *sites: Site, origin: int = 0) -> list[int]:
    return [found.site for found in reached(url, origin, sites)]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://us.example/in/shop/orders", [1]),
        ("https://us.example:443/in/shop/orders/", [1]),
        ("https://US.example/in/shop/orders", [1]),
        ("https://us.example/in/shop/other", []),
        ("https://us.example/shop/orders", []),
        ("https://us.example/inner/shop/orders", []),
        ("http://us.example/in/shop/orders", []),
        ("https://us.example/in/shop/orders/x", []),
    ],
)
def test_what_lies_below_a_public_url_is_that_gateways(url: str, expected: list[int]):
    assert whose(url, site("127.0.0.1:8080"), site("0.0.0.0:8080", "https://us.example/in")) == expected


def test_a_longer_public_url_is_the_nearer_one():
    sites = site("h:1", "https://mesh.example"), site("h:2", "https://mesh.example/us")
    both = Site(sites[0].ingress, {"shop/orders", "us/shop"})

    assert whose("https://mesh.example/us/shop/orders", both, sites[1]) == [1]
    assert whose("https://mesh.example/us/shop", both, sites[1]) == []
    assert whose("https://mesh.example/shop/orders", both, sites[1]) == [0]


def test_without_a_public_url_it_is_where_the_listener_is():
    sites = site("127.0.0.1:8080"), site("127.0.0.1:8081"), site("mesh.internal:8080")

    assert whose("http://127.0.0.1:8081/shop/orders", *sites) == [1]
    assert whose("http://localhost:8081/shop/orders", *sites) == [1]
    assert whose("http://mesh.internal:8080/shop/orders", *sites) == [2]
    assert whose("http://elsewhere:8080/shop/orders", *sites) == []


def test_a_loopback_host_is_the_own_gateway_if_it_listens_there():
    alike = site("127.0.0.1:8080"), site("127.0.0.1:8080"), site("0.0.0.0:8080")

    assert [whose("http://127.0.0.1:8080/shop/orders", *alike, origin=i) for i in range(3)] == [
        [0],
        [1],
        [2],
    ]


def test_a_listener_on_all_addresses_is_any_host_but_the_own_gateways():
    sites = site("0.0.0.0:8080"), site(":::8081"), site("127.0.0.1:9000")

    assert whose("http://somewhere:8081/shop/orders", *sites) == [1]
    assert whose("http://somewhere:8080/shop/orders", *sites) == []
    assert whose("http://somewhere:8080/shop/orders", *sites, origin=2) == [0]


def test_two_that_listen_alike_may_both_be_meant():
    sites = site("h:1"), site("0.0.0.0:8080"), site("0.0.0.0:8080")

    assert whose("http://somewhere:8080/shop/orders", *sites) == [1, 2]
    assert whose(
        "http://somewhere:8080/shop/orders", *sites[:2], site("0.0.0.0:8080", "http://somewhere:8080")
    ) == [2]


def test_a_port_that_is_chosen_at_the_start_is_nobodys():
    assert whose("http://127.0.0.1:8080/shop/orders", site("127.0.0.1:0")) == []
