"""Options, names, Knative's ConfigMap, and the settings that decide whether an event is safe."""

from __future__ import annotations

import importlib
import json

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.metadata import MetadataRequest_v4, MetadataRequest_v5
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka import knative, letters
from mesh_gateway_kafka.connection import connection
from mesh_gateway_kafka.names import Names
from mesh_gateway_kafka.options import KafkaOptions
from mesh_gateway_kafka.plugin import KIND
from mesh_gateway_kafka.producer import Producer
from mesh_gateway_kafka.subscription import consumer_settings
from pydantic import ValidationError

from mesh_gateway.gateway.assembly import channel_options
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load
from mesh_gateway.transport.builtin import EMBEDDED

NAMES = Names("knative-broker-{namespace}-{broker}", "mesh-gateway.{namespace}.{broker}")


def test_topics_and_groups_are_called_as_documented():
    assert NAMES.topic("shop/orders") == "knative-broker-shop-orders"
    assert NAMES.topic("shop/orders:dead-letters") == "knative-broker-shop-orders.dead-letters"
    assert NAMES.topic("shop/orders:parked:billing") == "knative-broker-shop-orders.parked.billing"
    assert NAMES.group("shop/orders", "shared") == "mesh-gateway.shop.orders"
    assert NAMES.group("shop/orders", "billing") == "mesh-gateway.shop.orders.trigger.billing"
    assert NAMES.group("shop/orders:parked:billing", "shared") == "mesh-gateway.shop.orders.parked.billing"
    assert (
        NAMES.group("shop/orders:dead-letters", "operators")
        == "mesh-gateway.shop.orders.dead-letters.operators"
    )


def test_a_name_that_kafka_does_not_take_says_what_to_do():
    with pytest.raises(ValueError, match="another template in the option `topic`"):
        NAMES.topic(f"shop/{'b' * 250}")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"topic": "t-{name}"}, "may hold"),
        ({"topic": "one-for-all"}, "has to hold"),
        ({"partitions": 0}, "greater than or equal to 1"),
        ({"bootstrap": "x:1"}, "Extra inputs"),
        ({"maxRecordBytes": 1000}, "greater than or equal"),
        ({"sasl": {"mechanism": "GSSAPI", "username": "u", "password": "p"}}, "PLAIN"),
    ],
)
def test_options_that_cannot_work_are_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        KafkaOptions.model_validate(options)


def test_every_option_is_described():
    for name, field in KafkaOptions.model_fields.items():
        assert field.description, name


def test_a_password_shows_nowhere():
    options = KafkaOptions.model_validate(
        {"bootstrapServers": "a:1, b:2", "sasl": {"username": "u", "password": "s3cret"}}
    )
    link = connection(options, options.bootstrap_servers)

    assert options.bootstrap_servers == ("a:1", "b:2")
    assert link.protocol == "SASL_PLAINTEXT"
    assert link.settings["sasl_plain_password"] == "s3cret"
    assert "s3cret" not in f"{options!r} {options} {link!r} {link}"


CONFIG_MAP = {
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kafka-broker-config", "namespace": "knative-eventing"},
    "data": {
        "default.topic.partitions": "10", "default.topic.replication.factor": 3, "bootstrap.servers": "one:9092, two:9092",
        "auth.secret.ref.name": "my-secret", "default.topic.config.retention.ms": "3600",
    },
}  # fmt: skip


def test_knatives_config_map_is_read():
    found = knative.read(tuple(knative.broker_options(CONFIG_MAP).items()))

    assert found.servers == ("one:9092", "two:9092")
    assert (found.partitions, found.replication) == (10, 3)
    assert found.config == (("retention.ms", "3600"),)


MESH = """
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {name: g}
spec: {brokerClasses: {Kafka: main}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {name: main}
spec: {kind: kafka}
---
apiVersion: v1
kind: Secret
metadata: {name: my-secret, namespace: knative-eventing}
stringData: {protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, user: mesh, password: s3cret}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: b
  annotations: {eventing.knative.dev/broker.class: Kafka, kafka.eventing.knative.dev/external.topic: legacy}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: kafka-broker-config, namespace: knative-eventing}}
"""


def test_a_broker_of_knatives_class_gets_its_config_map_its_secret_and_its_external_topic():
    sources = [Source("mesh.yaml", MESH), Source("config.yaml", json.dumps(CONFIG_MAP))]

    found = load(sources, environment={}, kinds=Kinds({kind.name: kind for kind in (EMBEDDED, KIND)}))

    assert found.spec is not None
    broker = found.spec.brokers["default/b"]
    assert broker.transport == "main"
    given = knative.read(channel_options(broker))
    assert (given.topic, given.servers) == ("legacy", ("one:9092", "two:9092"))
    assert (given.partitions, given.replication, given.config) == (10, 3, (("retention.ms", "3600"),))
    assert dict(given.secret) == {
        "protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "user": "mesh", "password": "s3cret",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "says"), [(None, "has no data"), ({"default.topic.partitions": "many"}, "whole number above 0")]
)
def test_a_config_map_that_cannot_be_read_says_why(data, says):
    with pytest.raises(ValueError, match=says):
        knative.broker_options({"data": data})


async def test_nothing_that_decides_whether_an_event_is_safe_is_left_to_aiokafkas_defaults():
    link = connection(KafkaOptions(), ("127.0.0.1:1",))

    producer = Producer(link, compression="none", most=1_048_588)
    consumer = AIOKafkaConsumer(**consumer_settings(link, "g"))

    assert consumer._enable_auto_commit is False
    assert consumer._auto_offset_reset == "none"
    assert consumer._isolation_level == "read_committed"
    assert consumer._check_crcs is True
    assert consumer._rebalance_timeout_ms == 30_000
    assert consumer._session_timeout_ms == 10_000
    assert consumer._max_poll_interval_ms > 7 * 24 * 3600 * 1000
    assert [one.name for one in consumer._partition_assignment_strategy] == ["sticky"]
    for client in (producer.client, consumer._client):
        assert client._request_timeout_ms == 10_000, "a deadline of ours ends it, not aiokafka's 40 s"
    consumer._closed = True  # it was not started


@pytest.mark.parametrize("module", ["aiokafka.client", "aiokafka.admin.client"])
def test_no_client_lets_a_broker_create_the_topic_that_it_asks_about(module):
    request = importlib.import_module(module).MetadataRequest(["topic"])

    for version in (MetadataRequest_v4, MetadataRequest_v5):
        assert request.build(version).allow_auto_topic_creation is False


@given(st.sets(st.integers(0, 10_000), max_size=200))
def test_removed_dead_letters_are_remembered_as_ranges(offsets):
    assert set(letters.read(letters.written(offsets))) == offsets


def test_metadata_that_somebody_else_wrote_removes_nothing():
    assert letters.read("consumer-host-7") == []
    assert letters.read("") == []
