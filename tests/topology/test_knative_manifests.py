"""Manifests as Knative's users have them load without a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.topology.load import Loaded, Source, load
from mesh_gateway.topology.spec import BrokerDestination, HttpDestination
from tests.topology.harness import KINDS, gateway, transport

MANIFESTS = Path(__file__).parent / "corpus" / "knative"
FILES = sorted(MANIFESTS.glob("*.yaml"))


def manifest(name: str, *more: str) -> Loaded:
    sources = [Source(f"{i}.yaml", text) for i, text in enumerate(more)]
    return load([*Source.from_paths([str(MANIFESTS / name)]), *sources], environment={}, kinds=KINDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_manifest_of_knative_loads_without_errors_or_doubts_about_its_fields(file: Path):
    found = manifest(file.name)

    assert found.spec is not None
    assert found.spec.brokers
    assert {fault.code for fault in found.faults} <= {"MG202", "MG203", "MG205"}


def test_a_list_as_kubectl_prints_it_is_its_items_and_what_the_cluster_added_is_ignored():
    found = manifest("kubectl-get.yaml")

    assert found.faults == ()
    assert found.spec is not None
    assert list(found.spec.brokers) == ["shop/default"]
    billing = found.spec.triggers["shop/billing"]
    assert billing.destination == HttpDestination("http://billing/events")
    assert billing.filter_attributes == (("type", "dev.shop.order.created"),)
    assert (billing.delivery.retry, billing.delivery.backoff_delay) == (10, 0.2)


def test_a_broker_of_class_kafka_runs_on_the_default_transport_and_that_is_said():
    found = manifest("kafka-broker.yaml")

    assert found.spec is not None
    assert found.spec.brokers["default/default"].transport == "embedded"
    assert [(fault.code, fault.severity) for fault in found.faults] == [("MG203", "notice")]
    trigger = found.spec.triggers["default/my-service-trigger"]
    assert trigger.order == "ordered"
    assert trigger.delivery.dead_letter_sink == HttpDestination("http://dlq-service")


def test_a_mapped_class_lies_on_its_transport_and_the_plugin_reads_its_config():
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {partitions: '3'}"
    broker = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b, annotations: {eventing.knative.dev/broker.class: Configured}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: cm}}
"""
    source = "\n---\n".join(
        [gateway("brokerClasses: {Configured: main}"), transport("kind: configured"), config, broker]
    )

    found = load([Source("mesh.yaml", source)], environment={}, kinds=KINDS)

    assert found.faults == ()
    assert found.spec is not None
    assert found.spec.brokers["default/b"].transport == "main"
    assert found.spec.brokers["default/b"].options == (("partitions", "3"),)


def test_parallelism_of_rabbitmq_is_honoured_and_1_means_first_in_first_out():
    found = manifest("rabbitmq-broker.yaml")

    assert found.spec is not None
    many = found.spec.triggers["default/high-throughput-trigger"]
    assert (many.parallelism, many.order) == (10, "unordered")
    fifo = found.spec.triggers["default/fifo-trigger"]
    assert (fifo.parallelism, fifo.order) == (1, "ordered")


def test_anchors_aliases_and_merge_keys_mean_what_they_mean_to_kubectl():
    found = manifest("anchors.yaml")

    assert found.spec is not None
    usual = found.spec.triggers["default/as-usual"].delivery
    assert (usual.retry, usual.backoff_policy, usual.backoff_delay) == (3, "linear", 1.0)
    more = found.spec.triggers["default/more-often"].delivery
    assert (more.retry, more.backoff_policy, more.backoff_delay) == (7, "linear", 1.0)


def test_a_dead_letter_sink_that_is_a_broker_is_reached_in_process():
    found = manifest("quickstart.yaml")

    assert found.spec is not None
    delivery = found.spec.triggers["shop/cloudevents-trigger"].delivery
    assert delivery.dead_letter_sink == BrokerDestination("shop/dead-letters")
    assert (delivery.retry, delivery.timeout, delivery.retry_after_max, delivery.format) == (
        0,
        5.0,
        0.0,
        "json",
    )


def test_in_a_cluster_services_are_found_by_the_name_that_the_template_makes():
    resolve = gateway('resolve: "http://{name}.{namespace}.svc.cluster.local"')

    found = manifest("kubectl-get.yaml", resolve)

    assert found.spec is not None
    destination = found.spec.triggers["shop/billing"].destination
    assert destination == HttpDestination("http://billing.shop.svc.cluster.local/events")
    audit = found.spec.triggers["shop/audit"].destination
    assert audit == HttpDestination("http://audit.monitoring.svc.cluster.local")
