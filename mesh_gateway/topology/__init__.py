"""From documents to the frozen spec of what runs: every fault found in one pass, with its place.

The way of a document, which is the reading order: `load.py` (all of it in one function) · `sources.py` (files) ·
`yaml.py` over `nodes.py` and `scalars.py` (values with places) · `resources.py` (one document: what it is, its name,
its spec), with `knative.py`, `interpolate.py`, `documents.py` over `parts.py` (the models), `values.py`, `durations.py` and
`fields.py` (a value against its model) · `resolve.py` (all documents together), with `gateway.py`, `transports.py`,
`endpoints.py`, `destinations.py`, `reach.py` (whose Broker a URL is), `delivery.py`, `triggers.py`, `relays.py`,
`peers.py`, `annotations.py`, `secrets.py` · `needs.py` (what is asked of the transports), `lint.py` and `cycles.py`
(the mesh as a whole, and several gateways together) · `spec.py` (the result). `faults.py` has every code, `kinds.py`
what plugins bring.

Beside the way: `diff.py` (two results and what lies between), `graph.py`, `schema.py`, `dev.py`.

May import: `delivery`, `transport`, `filters`, `event`, `errors`. The data path never imports this.
"""

from mesh_gateway.topology.dev import dev_spec

__all__ = ["dev_spec"]
