"""A broker: accepts events into its channel, reads each once, and shows it to every trigger that wants it.

Reading order: `broker.py` (accept: hops, arrival time, durability), `ttl.py` (the hop counter),
`reader.py` (one subscription shared by many triggers), `router.py` (which triggers want an event),
`sink.py` (a broker as somebody's subscriber, in process).

May import: `delivery`, `transport`, `filters`, `wire`, `event`, `errors`.
"""
