"""What Mesh Gateway itself brings, registered through the same door as any plugin."""

from __future__ import annotations

from mesh_gateway.transport.hooks import TransportKind, hookimpl

EMBEDDED = TransportKind(
    name="embedded",
    load="mesh_gateway.transport.embedded.transport:EmbeddedTransport",
    options="mesh_gateway.transport.embedded.options:EmbeddedOptions",
    summary="durable events in one SQLite file in the state directory; needs nothing else",
)


@hookimpl
def mesh_transports() -> list[TransportKind]:
    """The embedded transport."""
    return [EMBEDDED]
