"""Native parts of Mesh Gateway: C for what costs most of an event's way.

`requests` reads a producer's usual request, `deliveries` writes the usual one to a subscriber, `records` reads usual batches of Kafka's.
`mesh_gateway.native` chooses; nothing else imports this package.
"""

__version__ = "0.1.0"

INTERFACE = 1
"""What the parts take and give, as `mesh_gateway.native.INTERFACE` counts it."""
