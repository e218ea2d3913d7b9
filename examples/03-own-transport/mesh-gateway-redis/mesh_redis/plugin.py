"""What this distribution brings to Mesh Gateway; imports nothing heavy."""

from mesh_gateway.transport.hooks import TransportKind, hookimpl


@hookimpl
def mesh_transports():
    return [
        TransportKind(
            name="redis",
            load="mesh_redis.transport:RedisTransport",
            options="mesh_redis.options:RedisOptions",
            summary="Redis streams (an example)",
        )
    ]
