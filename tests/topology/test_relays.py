"""Relay documents: from where, to whom, as whom, how fast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mesh_gateway.topology.spec import (
    BrokerDestination,
    ClientCertificateSpec,
    DeliverySpec,
    HttpDestination,
    RelaySpec,
    Secret,
    StartSpec,
)
from tests.topology.harness import (
    BROKER,
    codes,
    endpoint,
    gateway,
    loaded,
    relay,
    said,
    spec_of,
    the_relay,
    transport,
)

AUDIT = BROKER.replace("orders", "audit")
TOKEN = {"US": "t0ken"}
BEARER = "auth: {bearer: {valueFrom: {env: US}}}"
TO_US = f"to: {{uri: 'https://us.example/shop/orders'}}, {BEARER}"


def made(spec: str, *documents: str, directory: Path = Path()) -> RelaySpec:
    return the_relay(BROKER, relay(spec), *documents, environment=TOKEN, directory=directory)


def faults(spec: str, *documents: str) -> list[str]:
    return codes(loaded(BROKER, relay(spec), *documents, environment=TOKEN))


def test_a_relay_reads_from_a_broker_of_its_namespace_and_sends_with_its_credential():
    assert made(TO_US) == RelaySpec(
        "default",
        "to-us",
        "default/orders",
        HttpDestination("https://us.example/shop/orders", bearer=Secret("t0ken"), replies=False),
        DeliverySpec(
            retry=10, backoff_policy="exponential", backoff_delay=0.2, backoff_max=60.0, timeout=30.0
        ),
    )


def test_everything_else_of_a_relay_is_read():
    found = made(
        TO_US + ", filters: [{prefix: {type: order.}}], rateLimit: {eventsPerSecond: 0.5}, "
        "compression: gzip, start: earliest, delivery: {retry: 3, timeout: PT5S}"
    )

    assert (found.filters, found.rate, found.compression) == (({"prefix": {"type": "order."}},), 0.5, "gzip")
    assert found.start == StartSpec("earliest")
    assert (found.delivery.retry, found.delivery.timeout) == (3, 5.0)


def test_a_delivery_leaves_what_it_does_not_say_at_a_relays_own_defaults():
    found = made(TO_US + ", delivery: {timeout: PT5S}").delivery

    assert (found.retry, found.backoff_max, found.backoff_delay) == (10, 60.0, 0.2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", StartSpec()),
        ("2026-11-24T08:00:00Z", StartSpec("timestamp", timestamp=1_795_507_200.0)),
        ("position:0/42", StartSpec("position", position="0/42")),
    ],
)
def test_a_start_is_read_as_that_of_a_trigger(text: str, expected: StartSpec):
    assert made(f"{TO_US}, start: '{text}'").start == expected


@pytest.mark.parametrize("rate", ["0", "-1", "yes", "'5'", "true", ".inf", "[]"])
def test_a_rate_is_a_number_above_nothing(rate: str):
    assert faults(f"{TO_US}, rateLimit: {{eventsPerSecond: {rate}}}") == ["MG010"]


def test_a_rate_may_come_from_a_variable():
    found = the_relay(
        BROKER,
        relay(TO_US + ", rateLimit: {eventsPerSecond: '${RATE}'}"),
        environment={"RATE": "250", **TOKEN},
    )

    assert found.rate == 250.0


def test_a_ref_to_a_broker_is_in_process_and_asks_for_no_credential():
    assert made("to: {ref: {kind: Broker, name: audit}}", AUDIT).destination == BrokerDestination(
        "default/audit"
    )
    assert faults(f"to: {{ref: {{kind: Broker, name: audit}}}}, {BEARER}", AUDIT) == ["MG010"]


CRM = endpoint("url: 'https://us.example/shop/orders', auth: {bearer: {valueFrom: {env: OTHER}}}")


def test_an_endpoint_brings_its_credential_unless_the_relay_has_its_own():
    to = "to: {ref: {kind: Endpoint, name: crm}}"
    both = {"OTHER": "theirs", **TOKEN}

    of_endpoint = the_relay(BROKER, CRM, relay(to), environment=both).destination
    own = the_relay(BROKER, CRM, relay(f"{to}, {BEARER}"), environment=both).destination

    assert isinstance(of_endpoint, HttpDestination)
    assert isinstance(own, HttpDestination)
    assert (of_endpoint.bearer, own.bearer) == (Secret("theirs"), Secret("t0ken"))
    assert not of_endpoint.replies


def test_own_credentials_replace_those_of_an_endpoint_as_a_whole(tmp_path: Path):
    certificate = trustme.CA().issue_cert("eu.example")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "k.pem")
    auth = "auth: {clientCertificate: {certificate: c.pem, key: k.pem}}"

    found = the_relay(
        BROKER,
        CRM,
        relay(f"to: {{ref: {{kind: Endpoint, name: crm}}}}, {auth}"),
        environment={"OTHER": "theirs"},
        directory=tmp_path,
    ).destination

    assert isinstance(found, HttpDestination)
    assert found.bearer is None
    assert found.client_certificate is not None
    assert replace(found.client_certificate, content="") == ClientCertificateSpec(
        tmp_path / "c.pem", tmp_path / "k.pem"
    )


def test_a_service_is_a_url():
    found = made(f"to: {{ref: {{kind: Service, name: us}}, uri: /shop/orders}}, {BEARER}").destination

    assert isinstance(found, HttpDestination)
    assert found.url == "http://us/shop/orders"


@pytest.mark.parametrize("uri", ["display:", "exec:///bin/true"])
def test_a_relay_leads_to_no_scheme_of_a_plugin(uri: str):
    assert faults(f"to: {{uri: '{uri}'}}") == ["MG027"]


def test_a_relay_without_credential_is_warned_of_and_runs():
    found = loaded(BROKER, relay("to: {uri: 'https://us.example/'}"))

    assert codes(found) == ["MG046"]
    assert found.spec is not None


def test_a_certificate_over_plain_http_is_no_credential(tmp_path: Path):
    (tmp_path / "p.pem").write_text("x")
    auth = "auth: {clientCertificate: {certificate: p.pem, key: p.pem}}"

    found = loaded(BROKER, relay(f"to: {{uri: 'http://us.example/'}}, {auth}"), directory=tmp_path)

    assert said(found) == ["MG046 spec.auth: a certificate is shown only over TLS; use https"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://us.example/", ["MG045"]),
        ("http://127.0.0.1:9/", []),
        ("http://localhost:9/", []),
        ("https://u/", []),
    ],
)
def test_a_token_over_plain_http_to_another_machine_is_warned_of(url: str, expected: list[str]):
    assert faults(f"to: {{uri: '{url}'}}, {BEARER}") == expected


@pytest.mark.parametrize(
    "to",
    [
        "ref: {kind: Broker, name: orders}",
        "uri: 'http://127.0.0.1:8080/default/orders'",
        "uri: 'http://localhost:8080/default/orders/'",
        "uri: 'https://eu.example/in/default/orders?x=1'",
    ],
)
def test_a_relay_into_its_own_broker_is_refused_by_whatever_way_it_comes_there(to: str):
    public = gateway("ingress: {url: 'https://eu.example/in'}")
    auth = "" if "ref" in to else f", {BEARER}"

    assert faults(f"to: {{{to}}}{auth}", public) == ["MG042"]


def test_another_machine_with_the_port_of_an_open_listener_is_another_gateway():
    everywhere = gateway("ingress: {listen: '0.0.0.0:8080'}")

    assert faults(f"to: {{uri: 'https://us.example:8080/default/orders'}}, {BEARER}", everywhere) == []


def test_dead_letters_of_a_relay_do_not_go_back_into_its_broker():
    assert faults(TO_US + ", delivery: {deadLetterSink: {ref: {kind: Broker, name: orders}}}") == ["MG041"]
    assert faults(TO_US + ", delivery: {deadLetterSink: {ref: {kind: Broker, name: audit}}}", AUDIT) == []


def test_an_absent_broker_is_an_error_and_with_partial_leaves_the_relay_out():
    elsewhere = relay(TO_US).replace("from: orders", "from: order")

    assert said(loaded(BROKER, elsewhere, environment=TOKEN)) == [
        "MG020 spec.from: there is no Broker default/order in the files, did you mean 'default/orders'?"
    ]
    assert spec_of(BROKER, elsewhere, environment=TOKEN, partial=True).relays == {}


def test_filters_have_the_same_faults_as_those_of_a_trigger():
    assert faults(TO_US + ", filters: [{exact: {type: ''}}, {regex: a}]") == ["MG031", "MG031"]
    assert faults(TO_US + ", filters: [{cesql: 'vip'}]") == ["MG030"]


def test_an_annotation_of_a_trigger_is_none_of_a_relay():
    annotated = relay(TO_US).replace(
        "{name: to-us}", "{name: to-us, annotations: {mesh-gateway.dev/read: dedicated}}"
    )

    assert said(loaded(BROKER, annotated, environment=TOKEN)) == [
        "MG028 metadata.annotations[mesh-gateway.dev/read]: unknown annotation; it belongs on a Trigger"
    ]


def test_no_credential_stands_in_what_is_shown():
    found = made(TO_US)

    assert "t0ken" not in repr(found)


ON_CONFIGURED = (
    BROKER + "spec: {config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: main}}"
)


def test_a_transport_without_groups_is_no_fault_but_a_start_that_it_cannot_seek_is():
    documents = [transport("kind: configured"), ON_CONFIGURED]

    assert codes(loaded(*documents, relay(TO_US), environment=TOKEN)) == []
    (fault,) = loaded(*documents, relay(TO_US + ", start: 'position:7'"), environment=TOKEN).faults
    assert (fault.code, fault.path) == ("MG033", "spec.start")
    assert fault.message.endswith("on transport main: the transport cannot begin at a position; use latest")
