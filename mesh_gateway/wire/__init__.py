"""CloudEvents as bytes: HTTP (binary, structured, batch) and what a store keeps.

Reading order: `text.py` (attribute values as header values), `http.py` (which mode, and binary),
`json.py` (structured and batch) with `repeated.py` (no name twice), `beside.py` (what travels beside an
event where a binding knows only texts), `stored.py` (one event as self-describing bytes), `unreadable.py` (a record that is no event).
Pure functions, no I/O; `data` is never parsed or changed.

May import: `event`, `attributes`, `errors`.
"""
