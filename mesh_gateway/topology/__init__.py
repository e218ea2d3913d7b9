"""From documents to a frozen spec: read, check, resolve, compare. Pure but for reading files.

Reading order: `load.py` (the whole way), `yaml.py` (text to values with marks), `interpolate.py`
(variables), `documents.py` (the kinds as models), `fields.py` (unknown fields, did-you-mean),
`resolve.py` (documents to spec), `destinations.py` (refs and URLs), `secrets.py`, `lint.py` (loops and other
surprises), `spec.py` (the result), `diff.py` (two results), `schema.py`, `graph.py`, `faults.py`
(every code there is).

May import: `filters`, `transport` (kinds and durations), `errors`. Never imported by the data path.
"""
