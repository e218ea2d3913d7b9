"""What this distribution brings to Mesh Gateway; imports nothing heavy."""

from __future__ import annotations

from mesh_gateway.transport.hooks import TransportKind, hookimpl

KIND = TransportKind(
    name="sqs",
    load="mesh_gateway_sqs.transport:SqsTransport",
    options="mesh_gateway_sqs.options:SqsOptions",
    summary="Amazon SQS queues",
    install_hint="pip install 'mesh-gateway[sqs]'",
)


@hookimpl
def mesh_transports() -> list[TransportKind]:
    """The transport kind `sqs`."""
    return [KIND]
