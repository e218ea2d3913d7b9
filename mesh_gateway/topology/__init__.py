"""From documents to a frozen spec: read, check, resolve, compare. Pure but for reading files.

Reading order: `load.py` (the whole way), `yaml.py` (text to values with marks), `interpolate.py`
(variables), `documents.py` (the kinds as models), `fields.py` (unknown fields, did-you-mean), `read.py`
(a document with its place; the collector of faults), `resolve.py` (documents to spec) with `gateway.py`,
`annotations.py`, `destinations.py` (refs and URLs) and `secrets.py`, `lint.py` (loops and other surprises),
`spec.py` (the result), `dev.py` (a spec without documents), `kinds.py` (what plugins registered), `diff.py`
(two results), `schema.py`, `graph.py`, `faults.py` (every code there is).

May import: `filters`, `delivery` (its address guard), `transport` (kinds and durations), `errors`. Never
imported by the data path.
"""
