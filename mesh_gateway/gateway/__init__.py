"""A running gateway: from a frozen spec to objects that run, are watched, and stop in order.

Reading order: `run.py` and `process.py` (one process from start to exit code) with `documents.py` (what it serves) and
`signals.py`, `mesh.py` (what runs, and how it stops in the direction of flow) with `tasks.py` (a task for each part) and
`leaving.py` (how parts go), `assembly.py` (spec to objects) with `parts.py` (what a gateway is made of), `relays.py`
(relays, receivers, their memory) and `doors.py` (the ingress's way to a receiver), `reload.py` (going over to other
documents), `listeners.py` (both listeners, while they change as well) with `ingress.py` (the data listener), `link.py` (one
transport kept open), `supervise.py` (restart, back off, report), `backlog.py` (what waits on the brokers), `status.py` and
`metrics.py` (what can be seen) with `exposition.py` (Prometheus's text), `deadletters.py` (list, show, redrive), `admin/`
(all of that over HTTP), `observe.py` (plugins' observers), `display.py` (the subscriber of `dev`), `logs.py`; `workers/`
(several such processes as one gateway).

May import: everything below `cli`.
"""
