"""Durable channels: the contract, the portable side of it, and the built-in embedded transport.

Reading order: `contract.py` (what a transport promises), `negotiation.py` (what a trigger or relay needs,
held against that), `hooks.py` (what a plugin may bring), `plugins.py` (how plugins are found, and why a
broken one hurts nobody), `builtin.py` (what we bring ourselves), `batch.py` (group commit), `channel.py`
(a named channel as the core uses it), `ledger.py` (when an event may be settled), `embedded/` (SQLite, the
reference reading).

May import: `wire`, `event`, `attributes`, `errors`. A plugin imports only this package,
`mesh_gateway.wire`, `mesh_gateway.event`, `mesh_gateway.errors` and `mesh_gateway.testing`.
"""
