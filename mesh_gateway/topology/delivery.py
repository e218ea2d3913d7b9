"""Retries and dead letters: which delivery object counts for a trigger, with every default filled in.

The Trigger's object, even `{}`, replaces the Broker's as a whole; a Broker without one takes the Gateway's;
nothing is mixed. An object without `retry` means one attempt (Knative's DeliverySpec).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mesh_gateway.topology import parts
from mesh_gateway.topology.destinations import Addresses
from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import DeliverySpec

INSTALLED = DeliverySpec(retry=10, backoff_policy="exponential", backoff_delay=0.2)
"""What Knative installs for Brokers without a `delivery` (ConfigMap config-br-defaults)."""

UNSAID = DeliverySpec(backoff_delay=INSTALLED.backoff_delay)
"""What an object of a Broker or Trigger leaves open. Knative's brokers disagree about a missing policy or delay. Here a
missing policy is exponential, as in two of the three, and a missing delay is that of the installed
default: nobody means a retry without any pause."""

PATH: Path = ("spec", "delivery")


def delivery_spec(
    found: parts.Delivery, resource: Resource, addresses: Addresses, missing: DeliverySpec = UNSAID
) -> DeliverySpec:
    """The delivery that `resource` spells out; what it leaves open is as in `missing`."""
    sink = found.dead_letter_sink
    given: dict[str, Any] = {
        "retry": found.retry,
        "backoff_policy": found.backoff_policy,
        "backoff_delay": found.backoff_delay,
        "backoff_max": found.backoff_max,
        "retry_after_max": found.retry_after_max,
        "timeout": found.timeout,
        "format": found.format,
    }
    return replace(
        missing,
        **{name: value for name, value in given.items() if value is not None},
        jitter=found.jitter is None,
        dead_letter_sink=None
        if sink is None
        else addresses.resolve(sink, resource, (*PATH, "deadLetterSink")),
    )


def would_come_back(broker: str) -> str:
    """The fault of a dead letter sink that is the broker whose letters it takes."""
    return (
        f"dead letters of Broker {broker} would come back to it; take another Broker, or leave it away: "
        "without a sink they are kept in the broker's dead-letter channel"
    )
