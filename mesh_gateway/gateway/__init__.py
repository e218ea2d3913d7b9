"""A running gateway: from a frozen spec to objects that run, are watched, and stop in order.

Reading order: `run.py` (one process from start to exit code), `mesh.py` (what runs, and how it
stops in the direction of flow), `assembly.py` (spec to objects; the only room that knows both
sides), `link.py` (one transport kept open), `supervise.py` (restart, back off, report),
`status.py` and `metrics.py` (what can be seen), `deadletters.py` (list, show, redrive),
`admin.py` (all of that over HTTP), `observe.py` (plugins' observers),
`display.py` (the subscriber of `dev`), `logs.py`.

May import: everything below `cli`.
"""
