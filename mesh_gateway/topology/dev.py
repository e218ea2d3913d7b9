"""The spec of `mesh-gateway dev`: no file needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mesh_gateway.topology.spec import (
    AdminSpec,
    BrokerSpec,
    GatewaySpec,
    IngressSpec,
    PluginDestination,
    TransportSpec,
    TriggerSpec,
)

DISPLAY = TriggerSpec("default", "display", "default/default", PluginDestination("display:"))


def dev_spec(*, state: Path | None, ingress: IngressSpec, admin: AdminSpec) -> GatewaySpec:
    """One broker `default/default` on the embedded transport, and a trigger that shows what arrives."""
    return GatewaySpec(
        name="dev",
        ingress=ingress,
        admin=admin,
        state_directory=state,
        drain_timeout=3.0,
        transports={"embedded": TransportSpec("embedded", "embedded")},
        brokers={"default/default": BrokerSpec("default", "default", "embedded")},
        triggers={DISPLAY.key: DISPLAY},
        digest="dev",
    )


def with_display(spec: GatewaySpec, state: Path | None) -> GatewaySpec:
    """The documents' spec for `dev -f`: a display trigger at every broker, state as asked."""
    triggers = dict(spec.triggers)
    for key in spec.brokers:
        namespace, _, name = key.partition("/")
        shown = replace(DISPLAY, namespace=namespace, name=f"display-{name}", broker=key)
        triggers.setdefault(shown.key, shown)
    return replace(spec, triggers=triggers, state_directory=state)
