"""What the author of a transport, and our own tests, test with.

Reading order: `harness.py` (what the kit needs to be told), `conformance.py` (the kit: the suite that every
transport passes), `suites/` (its tests, by what they are about), `proxy.py` (a network that breaks), `outage.py`
(what may be relied on meanwhile), `clock.py` (a clock that the test moves), `disk.py` (a disk that fills,
breaks and loses power), `fakes.py` (sinks and subscriptions that do as they are told), `probe/` (a whole gateway under load and
faults, and the judge of it).

May import: everything a plugin may; `fakes.py` also `delivery`. Nothing here is imported by what runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesh_gateway.testing.conformance import TransportConformance
    from mesh_gateway.testing.harness import Harness

__all__ = ["Harness", "TransportConformance"]


def __getattr__(name: str) -> Any:
    """The kit, loaded when it is asked for: it needs pytest, which the rest of this folder does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    from mesh_gateway.testing.conformance import TransportConformance
    from mesh_gateway.testing.harness import Harness

    return {"Harness": Harness, "TransportConformance": TransportConformance}[name]
