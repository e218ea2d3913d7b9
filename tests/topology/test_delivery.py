"""Which delivery object counts, and its defaults."""

from __future__ import annotations

from mesh_gateway.topology.spec import BrokerDestination, DeliverySpec, HttpDestination
from tests.topology.harness import BROKER, gateway, loaded, said, spec_of, the_trigger, to_billing, trigger

BROKERS = (
    BROKER
    + "spec: {delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, deadLetterSink: {uri: 'http://dls/'}}}"
)


def delivery(*documents: str) -> DeliverySpec:
    return the_trigger(*documents).delivery


def test_a_trigger_without_one_takes_the_brokers():
    assert delivery(BROKERS, trigger(to_billing())) == DeliverySpec(
        retry=3, backoff_policy="linear", backoff_delay=1.0, dead_letter_sink=HttpDestination("http://dls/")
    )


def test_a_triggers_own_replaces_the_brokers_as_a_whole_even_when_it_is_empty():
    assert delivery(BROKERS, trigger(to_billing("delivery: {}"))) == DeliverySpec(
        retry=0, backoff_policy="exponential", backoff_delay=0.2
    )


def test_null_is_absent_and_inherits():
    assert delivery(BROKERS, trigger(to_billing("delivery: null"))).retry == 3


def test_an_object_without_retry_means_one_attempt():
    assert delivery(BROKER, trigger(to_billing("delivery: {backoffPolicy: linear}"))).retry == 0


def test_a_broker_without_one_takes_what_knative_installs():
    assert delivery(BROKER, trigger(to_billing())) == DeliverySpec(
        retry=10, backoff_policy="exponential", backoff_delay=0.2
    )


def test_or_that_of_the_gateway():
    found = delivery(gateway("delivery: {retry: 1, timeout: PT5S}"), BROKER, trigger(to_billing()))

    assert (found.retry, found.timeout) == (1, 5.0)


def test_an_empty_object_of_the_broker_is_not_the_gateways():
    assert delivery(BROKER + "spec: {delivery: {}}", trigger(to_billing())).retry == 0


def test_every_field_is_read():
    fields = (
        "retry: 5, backoffPolicy: linear, backoffDelay: PT2S, backoffMax: PT1M, retryAfterMax: PT0S, "
        "timeout: PT10S, format: json, jitter: none, deadLetterSink: {ref: {kind: Broker, name: audit}}"
    )

    found = delivery(
        BROKER, BROKER.replace("orders", "audit"), trigger(to_billing(f"delivery: {{{fields}}}"))
    )

    assert found == DeliverySpec(
        retry=5,
        backoff_policy="linear",
        backoff_delay=2.0,
        backoff_max=60.0,
        retry_after_max=0.0,
        timeout=10.0,
        format="json",
        jitter=False,
        dead_letter_sink=BrokerDestination("default/audit"),
    )


def test_a_faulty_sink_of_a_broker_is_said_once_and_not_for_every_trigger():
    broker = BROKER + "spec: {delivery: {deadLetterSink: {uri: /dls}}}"

    found = loaded(broker, trigger(to_billing(), "one"), trigger(to_billing(), "two"))

    assert [fault.path for fault in found.faults] == ["spec.delivery.deadLetterSink.uri"]


def test_a_sink_ref_is_looked_up_in_the_namespace_of_the_object_that_spells_it_out():
    letters = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: letters, namespace: shop}"
    broker = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: orders, namespace: shop}
spec: {delivery: {deadLetterSink: {ref: {kind: Broker, name: letters}}}}
"""
    elsewhere = trigger(to_billing()).replace(
        "broker: orders", "brokerRef: {kind: Broker, name: orders, namespace: shop}"
    )

    spec = spec_of(letters, broker, elsewhere)

    assert spec.triggers["default/billing"].delivery.dead_letter_sink == BrokerDestination("shop/letters")


def test_dead_letters_into_the_own_broker_are_refused_where_they_are_spelt_out():
    own = "delivery: {deadLetterSink: {ref: {kind: Broker, name: orders}}}"

    by_trigger = loaded(BROKER, trigger(to_billing(own)))
    by_broker = loaded(BROKER + f"spec: {{{own}}}", trigger(to_billing()))
    by_gateway = loaded(gateway(own), BROKER, trigger(to_billing()))

    assert [f.path for f in by_trigger.faults] == ["spec.delivery.deadLetterSink"]
    assert [f.path for f in by_broker.faults] == ["spec.delivery.deadLetterSink"]
    assert [f.path for f in by_gateway.faults] == ["metadata.name"]
    assert {f[:5] for found in (by_trigger, by_broker, by_gateway) for f in said(found)} == {"MG041"}
