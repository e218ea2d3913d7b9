"""Loading documents in tests: kinds that stand for plugins, and documents in few words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Loaded, Source, load
from mesh_gateway.topology.spec import GatewaySpec, RelaySpec, TriggerSpec
from mesh_gateway.transport.builtin import EMBEDDED
from mesh_gateway.transport.contract import Capabilities
from mesh_gateway.transport.hooks import TransportKind

OF_WORKERS = ("MG054", "MG055", "MG056", "MG057", "MG058")
"""Codes of `run --workers`: no document is at fault by itself. Their pages are held in `tests/gateway/workers/test_pages.py`."""


class ConfiguredOptions(BaseModel):
    """Options with a secret and an alias."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    password: SecretStr = Field(default=SecretStr(""), description="A secret.")
    servers: str = Field(default="", alias="bootstrapServers", description="Where it is.")
    partitions: int = Field(default=10, description="How many.")


class Configured:
    """A transport that can do nothing beyond the least."""

    def __init__(self, options: ConfiguredOptions, context: object) -> None:
        self.capabilities = Capabilities(groups=False, max_event_bytes=262_144)


def read_config(config: Mapping[str, Any]) -> dict[str, str]:
    """What a plugin does with the ConfigMap of its broker class."""
    partitions = config["data"]["partitions"]
    if not partitions.isdecimal():
        raise ValueError(f"partitions must be a number, not {partitions!r}")
    return {"partitions": partitions} | {
        key: config["data"][key] for key in ("auth",) if key in config["data"]
    }


CONFIGURED = TransportKind(
    name="configured",
    load="tests.topology.harness:Configured",
    options="tests.topology.harness:ConfiguredOptions",
    broker_classes=("Configured",),
    broker_options="tests.topology.harness:read_config",
    broker_annotations=(("kafka.eventing.knative.dev/external.topic", "topic"),),
    broker_secret="auth",
)

BROKEN = TransportKind(
    name="broken",
    load="no_such_module:Broken",
    options="no_such_module:BrokenOptions",
    install_hint="pip install no-such-module",
)

KINDS = Kinds(
    transports={kind.name: kind for kind in (EMBEDDED, CONFIGURED, BROKEN)},
    sinks=frozenset({"exec"}),
    failed={"nats": "ModuleNotFoundError: No module named 'nats'"},
)

BROKER = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: orders}
"""


def trigger(spec: str, name: str = "billing", annotations: str = "{}") -> str:
    """A Trigger of broker `orders`; `spec` is the inside of a flow mapping, without a broker."""
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: {name}, annotations: {annotations}}}
spec: {{broker: orders, {spec}}}
"""


def to_billing(more: str = "") -> str:
    """The inside of a Trigger's spec that delivers to billing."""
    return f'subscriber: {{uri: "http://billing/"}}, {more}'


def gateway(spec: str) -> str:
    return f"""
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {{name: edge}}
spec: {{{spec}}}
"""


def endpoint(spec: str, name: str = "crm") -> str:
    return f"""
apiVersion: mesh-gateway.dev/v1alpha1
kind: Endpoint
metadata: {{name: {name}}}
spec: {{{spec}}}
"""


def relay(spec: str, name: str = "to-us") -> str:
    """A Relay of broker `orders`; `spec` is the rest of the inside of a flow mapping."""
    return f"""
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {{name: {name}}}
spec: {{from: orders, {spec}}}
"""


def transport(spec: str, name: str = "main") -> str:
    return f"""
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {{name: {name}}}
spec: {{{spec}}}
"""


def loaded(
    *documents: str,
    environment: Mapping[str, str] | None = None,
    strict: bool = False,
    partial: bool = False,
    directory: Path = Path(),
) -> Loaded:
    """These documents, as one file `mesh.yaml`."""
    source = Source("mesh.yaml", "\n---\n".join(documents), directory)
    return load([source], environment=environment or {}, kinds=KINDS, strict=strict, partial=partial)


def spec_of(*documents: str, **settings: Any) -> GatewaySpec:
    """The spec of documents that have no errors."""
    found = loaded(*documents, **settings)
    assert found.spec is not None, "\n".join(str(fault) for fault in found.faults)
    return found.spec


def the_trigger(*documents: str, **settings: Any) -> TriggerSpec:
    """The only Trigger of documents that have no errors."""
    (found,) = spec_of(*documents, **settings).triggers.values()
    return found


def the_relay(*documents: str, **settings: Any) -> RelaySpec:
    """The only Relay of documents that have no errors."""
    (found,) = spec_of(*documents, **settings).relays.values()
    return found


def said(found: Loaded) -> list[str]:
    """`CODE path: message` of every fault."""
    return [f"{fault.code} {fault.path}: {fault.message}" for fault in found.faults]


def codes(found: Loaded) -> list[str]:
    return [fault.code for fault in found.faults]
