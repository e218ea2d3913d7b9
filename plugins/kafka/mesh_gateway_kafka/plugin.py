"""What this distribution brings to Mesh Gateway; imports nothing heavy."""

from __future__ import annotations

from mesh_gateway.transport.hooks import TransportKind, hookimpl
from mesh_gateway_kafka import knative

KIND = TransportKind(
    name="kafka",
    load="mesh_gateway_kafka.transport:KafkaTransport",
    options="mesh_gateway_kafka.options:KafkaOptions",
    summary="Apache Kafka topics",
    broker_classes=("Kafka",),
    broker_options="mesh_gateway_kafka.knative:broker_options",
    broker_secret=knative.SECRET,
    broker_annotations=(("kafka.eventing.knative.dev/external.topic", knative.TOPIC),),
    install_hint="pip install 'mesh-gateway[kafka]'",
)


@hookimpl
def mesh_transports() -> list[TransportKind]:
    """The transport kind `kafka`."""
    return [KIND]
