"""Who may send here, and how each is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mesh_gateway.topology.spec import GatewaySpec, PeerSpec, Secret, TLSServerSpec
from tests.topology.harness import BROKER, codes, gateway, loaded, said, spec_of

TOKENS = {"EU": "one", "US": "two", "EMPTY_FILE": ""}
EU = "cluster: eu, bearer: {valueFrom: {env: EU}}"


def peers(text: str, more: str = "") -> list[str]:
    return said(loaded(gateway(f"cluster: hub, peers: [{text}]{more}"), BROKER, environment=TOKENS))


@pytest.fixture
def certificates(tmp_path: Path) -> str:
    """The inside of `ingress.tls`, files in `tmp_path`."""
    authority = trustme.CA()
    issued = authority.issue_cert("hub.example")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    issued.private_key_pem.write_to_path(tmp_path / "k.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return "certificate: c.pem, key: k.pem"


def test_a_peer_is_a_cluster_with_a_credential_and_what_it_may_do():
    spec = spec_of(
        gateway(
            f"cluster: hub, maxHops: 3, peers: [{{{EU}, brokers: [default/orders], types: [order., pay.]}}]"
        ),
        BROKER,
        environment=TOKENS,
    )

    assert spec.peers == (
        PeerSpec("eu", bearer=Secret("one"), brokers=("default/orders",), types=("order.", "pay.")),
    )
    assert spec.max_hops == 3
    assert GatewaySpec().max_hops == 16


def test_a_peer_may_be_known_by_a_certificate_where_clients_are_asked_for_one(
    certificates: str, tmp_path: Path
):
    tls = f"ingress: {{tls: {{{certificates}, clientCaCerts: {{file: ca.pem}}}}}}"

    spec = spec_of(
        gateway(f"{tls}, peers: [{{cluster: eu, clientCertificate: {{san: eu.example}}}}]"),
        directory=tmp_path,
    )

    assert spec.peers == (PeerSpec("eu", san="eu.example"),)
    assert spec.ingress.tls is not None
    assert replace(spec.ingress.tls, content="") == TLSServerSpec(
        tmp_path / "c.pem", tmp_path / "k.pem", (tmp_path / "ca.pem").read_text()
    )


def test_a_certificate_that_nobody_is_asked_for_is_an_error(certificates: str, tmp_path: Path):
    tls = f"ingress: {{tls: {{{certificates}}}}}"
    by_certificate = "peers: [{cluster: eu, clientCertificate: {san: eu.example}}]"

    assert codes(loaded(gateway(f"{tls}, {by_certificate}"), directory=tmp_path)) == ["MG044"]
    assert codes(loaded(gateway(by_certificate))) == ["MG044"]


def test_authorities_that_cannot_be_read_are_one_fault_and_not_two(certificates: str, tmp_path: Path):
    tls = f"ingress: {{tls: {{{certificates}, clientCaCerts: {{file: gone.pem}}}}}}"
    found = loaded(
        gateway(f"{tls}, peers: [{{cluster: eu, clientCertificate: {{san: eu.example}}}}]"),
        directory=tmp_path,
    )

    assert codes(found) == ["MG026"]


def test_a_peer_without_credential_is_refused():
    assert peers("{cluster: eu}") == [
        "MG010 spec.peers[0]: needs a bearer, a clientCertificate, or both: by these it is known"
    ]


@pytest.mark.parametrize(
    ("second", "path"),
    [
        ("cluster: eu, bearer: {valueFrom: {env: US}}", "spec.peers[1].cluster"),
        ("cluster: us, bearer: {valueFrom: {env: EU}}", "spec.peers[1].bearer"),
    ],
)
def test_two_peers_with_one_name_or_one_token_are_refused(second: str, path: str):
    (fault,) = peers(f"{{{EU}}}, {{{second}}}")

    assert fault.startswith(f"MG043 {path}: peers[0] (eu) has this ")
    assert "one" not in fault.partition("has this ")[2].split()


def test_two_peers_with_one_certificate_name_are_refused(certificates: str, tmp_path: Path):
    tls = f"ingress: {{tls: {{{certificates}, clientCaCerts: {{file: ca.pem}}}}}}"
    two = (
        "peers: [{cluster: eu, clientCertificate: {san: a.example}}, "
        "{cluster: us, clientCertificate: {san: A.example}}]"
    )

    assert codes(loaded(gateway(f"{tls}, {two}"), directory=tmp_path)) == ["MG043"]


def test_a_peer_of_the_own_name_is_refused():
    assert [fault.partition(":")[0] for fault in peers("{cluster: hub, bearer: {valueFrom: {env: EU}}}")] == [
        "MG048 spec.peers[0].cluster"
    ]


def test_an_empty_token_is_refused(tmp_path: Path):
    (tmp_path / "token").write_text("\n")

    found = loaded(gateway("peers: [{cluster: eu, bearer: {valueFrom: {file: token}}}]"), directory=tmp_path)

    assert said(found) == ["MG026 spec.peers[0].bearer.valueFrom: the token is empty"]


def test_the_brokers_of_a_peer_are_in_the_files_unless_these_are_not_all():
    text = gateway(f"peers: [{{{EU}, brokers: [default/order]}}]")

    found = loaded(text, BROKER, environment=TOKENS)
    partial = loaded(text, BROKER, environment=TOKENS, partial=True)

    assert said(found) == [
        "MG021 spec.peers[0].brokers[0]: there is no Broker default/order in the files, did you mean 'default/orders'?"
    ]
    assert [(fault.code, fault.severity) for fault in partial.faults] == [("MG021", "warning")]
    assert partial.spec is not None
    assert partial.spec.peers[0].brokers == ("default/order",)  # never fewer: none would mean every one


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        ("listen: '0.0.0.0:8080'", ["MG045"]),
        ("listen: '127.0.0.1:8080'", []),
        ("listen: '0.0.0.0:8080', url: 'https://hub.example'", []),
        ("listen: '0.0.0.0:8080', url: 'http://hub.example'", ["MG045"]),
    ],
)
def test_a_token_that_comes_over_plain_http_from_elsewhere_is_warned_of(ingress: str, expected: list[str]):
    found = loaded(gateway(f"ingress: {{{ingress}}}, peers: [{{{EU}}}]"), environment=TOKENS)

    assert codes(found) == expected


def test_a_peer_that_cannot_be_read_does_not_move_the_places_of_the_others():
    found = peers("{cluster: NO!}, {cluster: us, bearer: {valueFrom: {env: US}}, brokers: [default/orders]}")

    assert [fault.partition(":")[0] for fault in found] == ["MG010 spec.peers[0].cluster"]


def test_a_public_address_loses_the_slash_at_its_end():
    assert (
        spec_of(gateway("ingress: {url: 'https://hub.example/in/'}")).ingress.url == "https://hub.example/in"
    )
