"""What the prober sees of a gateway from outside."""

from __future__ import annotations

from mesh_gateway.testing.probe.gateway import waiting

METRICS = """\
# TYPE mesh_gateway_backlog_events gauge
mesh_gateway_backlog_events{broker="p/e",channel="events",group="shared"} 18.0
mesh_gateway_backlog_events{broker="p/e",channel="parked",group="p/a"} 2.0
mesh_gateway_backlog_events{broker="p/e",channel="dead-letters",group="operators"} 35.0
mesh_gateway_backlog_oldest_seconds{broker="p/e",channel="events",group="shared"} 3.5
"""


def test_what_waits_is_what_somebody_will_read_and_not_what_is_buried():
    assert waiting(METRICS) == 20
    assert waiting("") == 0
