"""What this distribution brings to Mesh Gateway; imports nothing heavy."""

from __future__ import annotations

from mesh_gateway.transport.hooks import TransportKind, hookimpl

KIND = TransportKind(
    name="rabbitmq",
    load="mesh_gateway_rabbitmq.transport:RabbitTransport",
    options="mesh_gateway_rabbitmq.options:RabbitOptions",
    summary="RabbitMQ quorum queues",
    broker_classes=("RabbitMQBroker",),
    broker_options="mesh_gateway_rabbitmq.knative:broker_options",
    install_hint="pip install 'mesh-gateway[rabbitmq]'",
)


@hookimpl
def mesh_transports() -> list[TransportKind]:
    """The transport kind `rabbitmq`."""
    return [KIND]
