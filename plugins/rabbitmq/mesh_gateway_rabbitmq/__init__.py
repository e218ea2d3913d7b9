"""RabbitMQ as a transport of Mesh Gateway.

Reading order: `options.py` and `names.py` (what the documents say, and what queues are called), `messages.py` and
`fields.py` (event ↔ message), `frames.py` (AMQP 0-9-1 on the wire), `link.py` (one connection: handshake, heartbeats,
channels), `publisher.py` (confirms and returns), `subscription.py` (one consumer), `topology.py` (exchanges and queues),
`letters.py` (dead letters on a stream), `faults.py`, `transport.py` (all of it as the contract), `knative.py`.
"""
