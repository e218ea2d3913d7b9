"""One trigger's way out: from a bounded window to a sink, with retries, replies and dead letters.

Reading order: `sink.py` (where an event goes and how an attempt ends), `trigger.py` (the window
and what each ending means), `lanes.py` (order per key), `policy.py` (how often and when again),
`schedule.py` (what is due later), `deadletter.py` (where an undeliverable event ends),
`parking.py` (what does not fit the window), `watch.py` (following single events); then the HTTP
client: `http.py` (the sink), `pool.py`, `connection.py`, `guard.py`, `resolve.py`, `tls.py`.

May import: `transport` (contract and channel), `filters`, `wire`, `event`, `errors`.
"""
