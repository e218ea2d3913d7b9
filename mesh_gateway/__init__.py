"""Mesh Gateway: an event mesh without Kubernetes.

The floors, top to bottom; imports point down only (checked by import-linter):
`cli > gateway > topology | ingress | federation > broker > delivery > transport >
filters | wire > event, attributes, errors`. Start reading in docs/architecture.md.
"""

from mesh_gateway import native as native  # first: it says where the others come from
from mesh_gateway.event import Event

__version__ = "0.1.0"
__all__ = ["Event", "__version__"]
