"""`run --workers N`: one gateway in several processes, each with its own event loop on the same port.

    parent: documents, signals, the admin API ── control channel ──▶ worker 0  ┐ each a GatewayProcess of its own
            holds the port, listens on none   ── admin socket    ──▶ worker 1  ┘ with a share of the documents

Reading order: `shares.py` (what one worker serves, and what several cannot; pure), `stores.py` (whose state is where, and
which is left over), `control.py` (what parent and worker say to each other) over `frames.py`, `child.py` (the worker),
`worker.py` (a worker as the parent sees it: started, watched, started again), `front.py` (the port and the admin listener),
`change.py` (other documents, in all or in none), `keys.py` (whose an ordered event is; pure) with `neighbours.py` (storing
for each other) and `keyed.py` (the store that does so), `group.py` (the parent), `asking.py` (the admin API of one worker),
`survey.py` (all asked at once), `merging.py` and `metrics.py` (one answer from several; pure), `admin/` (the admin API of
them all).
Why it is so: docs/decisions/0008-workers.md.
"""
