"""Options, the RabbitmqBrokerConfig of Knative, and what of it is told as drift; no server is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mesh_gateway_rabbitmq.knative import broker_options
from mesh_gateway_rabbitmq.link import address
from mesh_gateway_rabbitmq.options import RabbitOptions
from mesh_gateway_rabbitmq.plugin import KIND
from mesh_gateway_rabbitmq.transport import RabbitTransport
from pydantic import ValidationError

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load
from mesh_gateway.transport.builtin import EMBEDDED
from mesh_gateway.transport.contract import ChannelSpec, Purpose, TransportContext

MANIFEST = Path(__file__).parents[3] / "tests" / "topology" / "corpus" / "knative" / "rabbitmq-broker.yaml"

MAPPED = """
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {name: g}
spec: {brokerClasses: {RabbitMQBroker: rabbit}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {name: rabbit}
spec: {kind: rabbitmq, options: {url: "amqp://localhost/"}}
"""


def config(**spec: Any) -> dict[str, Any]:
    return {"kind": "RabbitmqBrokerConfig", "spec": spec}


def test_knatives_own_manifest_puts_its_broker_on_the_transport_with_the_configs_settings():
    sources = [Source("mapped.yaml", MAPPED), *Source.from_paths([str(MANIFEST)])]

    found = load(sources, environment={}, kinds=Kinds({kind.name: kind for kind in (EMBEDDED, KIND)}))

    assert found.spec is not None
    broker = found.spec.brokers["default/default"]
    assert (broker.transport, broker.options) == ("rabbit", (("queueType", "quorum"), ("vhost", "/")))


def test_what_a_config_leaves_out_is_knatives_default_and_its_cluster_is_not_ours_to_know():
    assert broker_options(config(rabbitmqClusterReference={"name": "r"})) == {"queueType": "quorum"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kind": "ConfigMap", "data": {}}, "is a ConfigMap; .* configured by a RabbitmqBrokerConfig"),
        ({"kind": "RabbitmqBrokerConfig", "spec": "quorum"}, "must be a mapping"),
        (config(queueType="mirrored"), "must be quorum or classic, not 'mirrored'"),
    ],
)
def test_a_config_that_cannot_be_read_says_why(document, says):
    with pytest.raises(ValueError, match=says):
        broker_options(document)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"queueType": "quorum", "vhost": "shop"}, []),
        ({"queueType": "classic"}, [("queueType", "classic", "quorum")]),
        ({"queueType": "quorum", "vhost": "other"}, [("vhost", "other", "shop")]),
    ],
)
def test_what_a_config_asks_for_and_the_transport_does_otherwise_is_drift(given, told):
    options = RabbitOptions.model_validate({"url": "amqp://localhost/shop"})
    transport = RabbitTransport(options, TransportContext("rabbit", None))

    def drift(purpose: Purpose) -> list[tuple[str, str, str]]:
        channel = ChannelSpec("n", "b", purpose, options=tuple(given.items()))
        return [(drift.what, drift.wanted, drift.found) for drift in transport._unlike_knative(channel)]

    assert drift(Purpose.EVENTS) == told
    assert drift(Purpose.DEAD_LETTERS) == [], "once for a Broker is enough"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "http://localhost"}, "must begin with amqp:// or amqps://"),
        ({"prefix": "a b"}, "should match pattern"),
        ({"heartbeat": 0}, "greater than or equal to 1"),
        ({"host": "localhost"}, "Extra inputs"),
        ({"consumerTimeout": "PT30S"}, "greater than 60"),
    ],
)
def test_options_that_cannot_work_are_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        RabbitOptions.model_validate(options)


def test_a_password_shows_nowhere():
    options = RabbitOptions.model_validate({"url": "amqp://u:s3cret@host/", "password": "0ther"})
    where = address(options.url.get_secret_value(), None, None, None)

    assert where.password == "s3cret"
    assert not [word for word in ("s3cret", "0ther") if word in f"{options!r} {options} {where!r} {where}"]


@pytest.mark.parametrize(
    ("url", "port", "vhost", "username"),
    [
        ("amqp://host", 5672, "/", "guest"),
        ("amqps://host/", 5671, "/", "guest"),
        ("amqp://host/%2Fshop", 5672, "/shop", "guest"),
        ("amqp://m%40sh:p@host:1234/shop", 1234, "shop", "m@sh"),
    ],
)
def test_an_address_is_read_as_rabbitmqs_clients_do(url, port, vhost, username):
    found = address(url, None, None, None)

    assert (found.host, found.port, found.vhost, found.username) == ("host", port, vhost, username)


@pytest.mark.parametrize("url", ["amqp://", "amqp://host:port/"])
def test_a_url_that_names_no_server_says_so(url):
    with pytest.raises(ConnectionLost, match="the option url"):
        address(url, None, None, None)
