"""The topology of `mesh-gateway dev`."""

from __future__ import annotations

from pathlib import Path

from mesh_gateway.topology import dev_spec
from mesh_gateway.topology.dev import with_display
from mesh_gateway.topology.spec import AdminSpec, IngressSpec, PluginDestination
from tests.topology.harness import BROKER, spec_of, to_billing, trigger


def test_without_files_there_is_a_broker_and_a_trigger_that_prints():
    spec = dev_spec(state=None, ingress=IngressSpec(port=1), admin=AdminSpec(port=2))

    assert list(spec.brokers) == ["default/default"]
    assert spec.triggers["default/display"].destination == PluginDestination("display:")
    assert (spec.ingress.port, spec.admin.port, spec.state_directory) == (1, 2, None)


def test_with_files_every_broker_has_such_a_trigger_besides():
    spec = with_display(spec_of(BROKER, trigger(to_billing())), Path("s"))

    assert list(spec.triggers) == ["default/billing", "default/display-orders"]
    assert spec.triggers["default/display-orders"].broker == "default/orders"
    assert spec.state_directory == Path("s")
