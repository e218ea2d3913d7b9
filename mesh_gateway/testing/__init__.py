"""For tests of the gateway and of plugins: the conformance kit, a manual clock, stand-ins.

Reading order: `conformance.py` (what every transport must do; this *is* the contract),
`clock.py` (time that moves when the test says so), `fakes.py` (a sink and a subscription in the
test's hands).

A plugin's own tests import from here. Nothing in the gateway does.
"""

from mesh_gateway.testing.conformance import Harness, TransportConformance

__all__ = ["Harness", "TransportConformance"]
