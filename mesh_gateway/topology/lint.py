"""What no single document shows: dead letters that come back."""

from __future__ import annotations

from collections.abc import Mapping

from mesh_gateway.topology import documents
from mesh_gateway.topology.delivery import PATH, would_come_back
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import BrokerDestination, DeliverySpec, TriggerSpec


def own_dead_letters(
    brokers: Mapping[str, Resource],
    deliveries: Mapping[str, DeliverySpec],
    triggers: Mapping[str, TriggerSpec],
    resources: Mapping[str, Resource],
) -> None:
    """Refuse a dead letter sink that is the broker the letters come from: they would fail there again, forever."""
    for key, resource in brokers.items():
        sink = deliveries[key].dead_letter_sink
        if isinstance(sink, BrokerDestination) and sink.broker == key:
            here = isinstance(resource.spec, documents.Broker) and resource.spec.delivery is not None
            _refuse(resource, key, here=here)
    for trigger in triggers.values():
        sink = trigger.delivery.dead_letter_sink
        own = resources[trigger.key].spec
        if (
            isinstance(sink, BrokerDestination)
            and sink.broker == trigger.broker
            and isinstance(own, documents.Trigger)
            and own.delivery is not None
        ):
            _refuse(resources[trigger.key], trigger.broker, here=True)


def _refuse(resource: Resource, broker: str, *, here: bool) -> None:
    message = would_come_back(broker)
    if here:
        resource.fault("MG041", (*PATH, "deadLetterSink"), message, key=True)
    else:
        resource.fault("MG041", ("metadata", "name"), f"by Gateway.spec.delivery, {message}")
