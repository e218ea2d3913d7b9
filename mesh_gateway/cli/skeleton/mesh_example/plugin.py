"""What this distribution brings to Mesh Gateway; imports nothing heavy."""

from mesh_gateway.transport.hooks import TransportKind, hookimpl

KIND = TransportKind(
    name="example",
    load="mesh_example.transport:ExampleTransport",
    options="mesh_example.options:ExampleOptions",
    summary="events in memory, until this text says what they really lie in",
)


@hookimpl
def mesh_transports() -> list[TransportKind]:
    """The transport kind `example`."""
    return [KIND]
