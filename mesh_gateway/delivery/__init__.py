"""One trigger's way out: from a bounded window to a sink, with retries, replies and dead letters.

Reading order: `sink.py` (where an event goes and how an attempt ends), `trigger.py` (which copies are held, where the
others lie, and when one is done) with `window.py` (how many, and which), `attempts.py` (sending, and what each outcome means),
`lanes.py` (order per key), `policy.py` (how often and when again), `schedule.py` (what is due later), `reply.py` (an
answer that is an event), `deadletter.py` (where an undeliverable event ends), `parking.py` (what does not fit the window)
with `waiting.py` (a retry that waits there), `twins.py` (order across a crash) and `gate.py` (holding a reader back),
`insist.py` (publishing until it is durable), `counters.py`, `watch.py` and `facts.py` (following single events),
`replaced.py` (a sink that a reload has replaced); then the HTTP client: `http.py` (the sink), `pool.py`,
`connection.py`, `guard.py`, `resolve.py`, `tls.py`.

May import: `transport` (contract and channel), `filters`, `wire`, `event`, `errors`.
"""
