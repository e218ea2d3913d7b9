"""Which events a trigger wants: pure functions of an event, compiled once.

Rooms in reading order: `dialects.py` (documents to filters, with every fault named), `nodes.py` (what each
clause means), `attributes.py` (reading one attribute), `cesql/` (the expression language), `explain.py`
(why an event was refused), `index.py` (many filters at once), `disjoint.py` (can one event pass both?).

May import: `event`, `attributes`, `errors`.
"""
