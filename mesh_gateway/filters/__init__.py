"""Which events a trigger wants: pure functions of an event, compiled once.

Reading order: `dialects.py` (documents to filters: exact, prefix, suffix, all, any, not, cesql),
`nodes.py` (what each clause means, and how it explains a refusal), `cesql/` (the expression
language), `index.py` (many filters at once), `disjoint.py` (can one event pass both?).

May import: `event`, `attributes`, `errors`.
"""
