"""The data listener: HTTP/1.1 in, one event or batch to a broker, a status out.

Reading order: `listener.py` (sockets, connections, the sweep that ends what is overdue),
`protocol.py` (one connection: bytes to requests, answers in order), `framing.py` (strict reading
of request heads), `bodies.py` (bodies that come in pieces), `endpoint.py` (path to broker, order of checks,
status codes), `peers.py` (which gateway a credential belongs to), `responses.py` (bytes of answers),
`limits.py` (every number, and what is counted).

May import: `broker` and everything below it. It knows a broker only as something that accepts, and a
receiver of transfers only as something that takes.
"""
