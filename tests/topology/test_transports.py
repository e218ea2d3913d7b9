"""What Brokers lie on."""

from __future__ import annotations

from mesh_gateway.topology.spec import TransportSpec
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from tests.topology.harness import BROKER, codes, gateway, loaded, said, spec_of, transport

ON_MAIN = BROKER + "spec: {config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: main}}"


def test_without_documents_brokers_lie_on_the_embedded_transport():
    spec = spec_of(BROKER)

    assert spec.transports == {"embedded": TransportSpec("embedded", "embedded")}
    assert spec.brokers["default/orders"].transport == "embedded"


def test_config_names_a_transport():
    spec = spec_of(ON_MAIN, transport("kind: configured, ensure: verify"))

    assert spec.brokers["default/orders"].transport == "main"
    assert spec.transports["main"].ensure == "verify"


def test_the_gateway_names_the_default():
    spec = spec_of(gateway("defaultTransport: main"), BROKER, transport("kind: configured"))

    assert spec.brokers["default/orders"].transport == "main"


def test_options_are_validated_and_dumped_with_defaults_under_their_names_in_documents():
    spec = spec_of(transport("kind: configured, options: {bootstrapServers: 'kafka:9092'}"))

    options = spec.transports["main"].options
    assert (options["bootstrapServers"], options["partitions"]) == ("kafka:9092", 10)


def test_what_the_model_gave_is_what_the_transport_will_take():
    spec = spec_of(transport("kind: embedded, options: {retention: PT5M, maxBytes: 2097152}", "embedded"))

    options = EmbeddedOptions.model_validate(dict(spec.transports["embedded"].options))

    assert (options.retention, options.max_bytes) == (300.0, 2_097_152)


def test_a_kind_whose_module_is_missing_says_so_with_the_plugins_hint():
    found = loaded(transport("kind: broken"))

    assert codes(found) == ["MG024"]
    assert "no_such_module" in found.faults[0].message
    assert "pip install no-such-module" in found.faults[0].message


def test_a_secret_in_options_is_looked_at_even_when_the_kind_is_missing():
    found = loaded(transport("kind: kafka, options: {a: {b: [{valueFrom: {env: NOPE}}]}}"))

    assert sorted(said(found)) == [
        "MG024 spec.kind: the transport kind 'kafka' is not installed: pip install 'mesh-gateway[kafka]'",
        "MG026 spec.options.a.b[0].valueFrom: the environment variable NOPE is not set",
    ]


def test_an_unknown_option_hides_no_other_fault():
    found = loaded(transport("kind: configured, options: {partition: 3, partitions: some}"))

    assert said(found) == [
        "MG025 spec.options.partition: unknown option, did you mean 'partitions'?",
        "MG025 spec.options.partitions: must be a whole number",
    ]


CLASSED = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b, annotations: {eventing.knative.dev/broker.class: Configured}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: cm, namespace: knative-eventing}}
"""


def test_the_absent_config_of_a_mapped_class_is_an_error():
    found = loaded(gateway("brokerClasses: {Configured: main}"), transport("kind: configured"), CLASSED)

    assert codes(found) == ["MG021"]


def test_but_none_on_the_default_transport_even_if_that_could_read_it():
    found = loaded(gateway("defaultTransport: main"), transport("kind: configured"), CLASSED)

    assert found.spec is not None
    assert [(fault.code, fault.severity) for fault in found.faults] == [("MG203", "notice")]


def test_the_class_that_knative_installs_needs_no_entry_and_no_notice():
    found = loaded(CLASSED.replace("Configured", "MTChannelBasedBroker"))

    assert found.spec is not None
    assert found.faults == ()


def test_a_broker_on_a_faulty_transport_is_not_a_fault_of_its_own():
    found = loaded(ON_MAIN, transport("ensure: create"))

    assert said(found) == ["MG010 spec.kind: is missing"]
