"""Which events a trigger wants: pure functions of an event, compiled once.

Rooms in reading order: `dialects.py` (documents to filters, with every fault named), `nodes.py` (what each
clause means), `attributes.py` (reading one attribute), `cesql/` (the expression language), `explain.py`
(why an event was refused), `index.py` (many filters at once), `normal.py` over `values.py` (what is left of the world for a
filter), `disjoint.py` (can one event pass them all?).

May import: `event`, `attributes`, `errors`.
"""
