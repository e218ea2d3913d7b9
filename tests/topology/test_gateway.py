"""The Gateway document."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.topology.gateway import is_loopback, listen_address
from mesh_gateway.topology.spec import GatewaySpec
from tests.topology.harness import BROKER, codes, gateway, loaded, spec_of


def test_without_a_gateway_document_everything_has_its_default():
    spec = spec_of(BROKER)

    assert (spec.ingress, spec.admin) == (GatewaySpec().ingress, GatewaySpec().admin)
    assert (spec.name, spec.cluster, spec.drain_timeout) == ("mesh-gateway", "local", 25.0)


def test_an_empty_gateway_document_changes_nothing_but_the_name():
    spec = spec_of(gateway(""), BROKER)

    assert spec.ingress == GatewaySpec().ingress
    assert spec.name == "edge"


def test_every_limit_of_the_ingress_is_read():
    spec = spec_of(
        gateway(
            "ingress: {listen: '[::1]:80', maxEventBytes: 70000, maxBatchEvents: 2, maxBatchBytes: 80000, maxHeaders: 3, "
            "maxHeaderBytes: 4, maxHeadersBytes: 5, headerTimeout: PT6S, bodyTimeout: PT7S, idleTimeout: PT8S, "
            "maxConnections: 9, maxRequests: 10, maxPendingBytes: 11, publishTimeout: PT12S}"
        )
    )

    found = spec.ingress
    assert (found.host, found.port, found.max_event_bytes, found.max_batch_events) == ("::1", 80, 70_000, 2)
    assert (found.max_batch_bytes, found.max_headers, found.max_header_bytes) == (80_000, 3, 4)
    assert (found.max_headers_bytes, found.header_timeout, found.body_timeout) == (5, 6.0, 7.0)
    assert (found.idle_timeout, found.max_connections, found.max_requests) == (8.0, 9, 10)
    assert (found.max_pending_bytes, found.publish_timeout) == (11, 12.0)


def test_the_rest_is_read():
    spec = spec_of(gateway("cluster: eu-west, drainTimeout: PT40S, state: {directory: /var/lib/mesh}"))

    assert (spec.cluster, spec.drain_timeout, spec.state_directory) == (
        "eu-west",
        40.0,
        Path("/var/lib/mesh"),
    )


def test_outside_loopback_the_admin_listener_needs_a_token():
    with_token = gateway("admin: {listen: '0.0.0.0:8081', token: {valueFrom: {env: T}}}")

    assert codes(loaded(gateway("admin: {listen: '0.0.0.0:8081'}"))) == ["MG050"]
    assert codes(loaded(gateway("admin: {listen: 'mesh.internal:8081'}"))) == ["MG050"]
    assert spec_of(with_token, environment={"T": "x"}).admin.host == "0.0.0.0"


def test_a_token_that_cannot_be_read_is_one_fault_and_not_two():
    found = loaded(gateway("admin: {listen: '0.0.0.0:8081', token: {valueFrom: {env: T}}}"))

    assert codes(found) == ["MG026"]


def test_64_kib_is_the_smallest_limit_of_events():
    assert codes(loaded(gateway("ingress: {maxEventBytes: 65535}"))) == ["MG010"]
    assert codes(loaded(gateway("ingress: {maxEventBytes: 65536}"))) == []


def test_any_free_port_is_no_clash():
    found = loaded(gateway("ingress: {listen: '127.0.0.1:0'}, admin: {listen: '127.0.0.1:0'}"))

    assert found.faults == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::]:8080", ("::", 8080)),
        ("mesh.internal:0", ("mesh.internal", 0)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: tuple[str, int]):
    assert listen_address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["8080", ":8080", "host", "host:", "host:99999", "::1:80", "[::1]", "[nope]:80", "a b:80", "h:80\n", ""],
)
def test_anything_else_is_refused(text: str):
    with pytest.raises(ValueError, match=r"HOST:PORT|IPv6"):
        listen_address(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("mesh", False),
    ],
)
def test_loopback_is_this_machine_only(host: str, expected: bool):
    assert is_loopback(host) is expected
