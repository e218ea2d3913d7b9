"""Retries and dead letters: which delivery object counts for a trigger, with every default filled in.

The Trigger's object, even `{}`, replaces the Broker's as a whole; a Broker without one takes the Gateway's;
nothing is mixed. An object without `retry` means one attempt (Knative's DeliverySpec).
"""

from __future__ import annotations

from mesh_gateway.topology import documents
from mesh_gateway.topology.destinations import Addresses
from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import DeliverySpec

INSTALLED = DeliverySpec(retry=10, backoff_policy="exponential", backoff_delay=0.2)
"""What Knative installs for Brokers without a `delivery` (ConfigMap config-br-defaults)."""

PATH: Path = ("spec", "delivery")


def delivery_spec(found: documents.Delivery, resource: Resource, addresses: Addresses) -> DeliverySpec:
    """The delivery that `resource` spells out.

    Knative's brokers disagree about a missing policy or delay. Here a missing policy is exponential, as in two of
    the three, and a missing delay is that of the installed default: nobody means a retry without any pause.
    """
    sink = found.dead_letter_sink
    given = {
        "retry": found.retry,
        "backoff_policy": found.backoff_policy,
        "backoff_max": found.backoff_max,
        "retry_after_max": found.retry_after_max,
        "timeout": found.timeout,
        "format": found.format,
    }
    delay = found.backoff_delay
    return DeliverySpec(
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]  # the model's own types
        backoff_delay=INSTALLED.backoff_delay if delay is None else delay,
        jitter=found.jitter is None,
        dead_letter_sink=None
        if sink is None
        else addresses.resolve(sink, resource, (*PATH, "deadLetterSink")),
    )
