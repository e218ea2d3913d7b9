"""Where refs and URIs lead."""

from __future__ import annotations

import pytest
import trustme

from mesh_gateway.topology.spec import BrokerDestination, Destination, HttpDestination, PluginDestination
from tests.topology.harness import BROKER, codes, endpoint, gateway, loaded, the_trigger, trigger

CRM = endpoint("url: 'https://crm.example/hook/in?k=1', replies: false, headers: {x-tenant: shop}")


def destination(found: str, *documents: str) -> Destination:
    return the_trigger(BROKER, trigger(f"subscriber: {found}"), *documents).destination


def url(found: str, *documents: str) -> str:
    where = destination(found, *documents)
    assert isinstance(where, HttpDestination)
    return where.url


def test_an_absolute_uri_is_taken_as_it_is():
    assert url('{uri: "http://Billing:8080/a%20b?x=1"}') == "http://Billing:8080/a%20b?x=1"


@pytest.mark.parametrize(
    "api", ["apiVersion: v1", "apiVersion: serving.knative.dev/v1", "group: serving.knative.dev", ""]
)
def test_a_ref_to_a_service_becomes_the_url_of_the_template(api: str):
    assert url(f"{{ref: {{{api}{', ' if api else ''}kind: Service, name: billing}}}}") == "http://billing"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/x", "https://crm.example/x"),
        ("x", "https://crm.example/hook/x"),
        ("../x", "https://crm.example/x"),
        ("?y=2", "https://crm.example/hook/in?y=2"),
        ("", "https://crm.example/hook/in?k=1"),
    ],
)
def test_a_relative_uri_is_resolved_against_the_ref_as_rfc_3986_says(uri: str, expected: str):
    assert url(f"{{ref: {{kind: Endpoint, name: crm}}, uri: '{uri}'}}", CRM) == expected


def test_an_endpoint_brings_its_settings_to_every_path_below_it():
    where = destination("{ref: {kind: Endpoint, name: crm}, uri: /x}", CRM)

    assert where == HttpDestination("https://crm.example/x", replies=False, headers=(("x-tenant", "shop"),))


def test_an_endpoint_of_a_services_name_says_where_that_service_is():
    document = endpoint("url: 'http://10.0.0.7:9000/'", name="billing")

    assert url("{ref: {apiVersion: v1, kind: Service, name: billing}}", document) == "http://10.0.0.7:9000/"


def test_a_ref_to_a_broker_is_in_process():
    audit = BROKER.replace("orders", "audit")

    assert destination("{ref: {kind: Broker, name: audit}}", audit) == BrokerDestination("default/audit")


@pytest.mark.parametrize("uri", ["display:", "exec:///usr/bin/handle"])
def test_a_scheme_of_a_plugin_is_its_own_business(uri: str):
    assert destination(f"{{uri: '{uri}'}}") == PluginDestination(uri)


def test_ca_certs_beat_those_of_the_endpoint_and_make_a_service_https():
    pem = trustme.CA().cert_pem.bytes().decode()
    quoted = pem.replace("\n", "\\n")

    service = destination(f'{{ref: {{kind: Service, name: billing}}, CACerts: "{quoted}"}}')
    beyond = destination(f'{{ref: {{kind: Endpoint, name: crm}}, CACerts: "{quoted}"}}', CRM)

    assert service == HttpDestination("https://billing", ca_certificates=pem)
    assert isinstance(beyond, HttpDestination)
    assert beyond.ca_certificates == pem


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.16689662",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_metadata_and_link_local_addresses_are_refused_in_every_spelling(host: str):
    found = loaded(BROKER, trigger(f'subscriber: {{uri: "http://{host}/"}}'))

    assert codes(found) == ["MG027"]


def test_such_an_address_is_refused_in_an_endpoint_and_behind_a_relative_uri_as_well():
    bad = endpoint("url: 'http://169.254.169.254/'")
    network_path = trigger("subscriber: {ref: {kind: Service, name: a}, uri: '//169.254.169.254/x'}")

    assert codes(loaded(bad)) == ["MG027"]
    assert codes(loaded(BROKER, network_path)) == ["MG010"]
    assert codes(loaded(gateway("resolve: 'http://169.254.169.254/{name}'"))) == ["MG027"]


def test_letters_that_only_look_like_ascii_are_refused():
    found = loaded(BROKER, trigger('subscriber: {uri: "http://①⑥⑨.254.169.254/"}'))

    assert codes(found) == ["MG027"]


@pytest.mark.parametrize(
    "uri",
    ["http://h/path/€", "http://h/é?a=1", "http://h/?q=ü", "http://a..b/", f"http://{'a' * 64}.example/"],
)
def test_a_url_that_no_request_can_be_made_to_is_refused(uri: str):
    assert codes(loaded(BROKER, trigger(f"subscriber: {{uri: '{uri}'}}"))) == ["MG027"]
    assert codes(loaded(endpoint(f"url: '{uri}'"))) == ["MG027"]


@pytest.mark.parametrize(
    "uri", ["http://bücher.example/%C3%A9", "http://h/#ü", "http://h./", "http://my_host/"]
)
def test_a_host_of_other_letters_and_an_encoded_path_are_taken(uri: str):
    assert url(f"{{uri: '{uri}'}}") == uri


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.7", "192.168.1.1", "localhost", "billing"])
def test_loopback_and_private_addresses_are_where_subscribers_live(host: str):
    assert url(f'{{uri: "http://{host}:8080/"}}') == f"http://{host}:8080/"


def test_a_faulty_endpoint_is_reported_once_and_not_by_those_who_refer_to_it():
    bad = endpoint("url: 'http://169.254.169.254/'")
    to = "subscriber: {ref: {kind: Endpoint, name: crm}}"

    found = loaded(BROKER, bad, trigger(to, "one"), trigger(to, "two"))

    assert codes(found) == ["MG027"]


def test_credentials_of_a_url_are_not_repeated():
    found = loaded(BROKER, trigger('subscriber: {uri: "http://me:s3cret@billing:0/"}'))

    assert codes(found) == ["MG027"]
    assert "s3cret" not in str(found.faults[0])


def test_what_has_no_effect_here_is_said():
    found = loaded(BROKER, trigger('subscriber: {uri: "http://billing/", audience: me}'))

    assert [(fault.code, fault.path) for fault in found.faults] == [("MG205", "spec.subscriber.audience")]
