"""A Trigger document as what runs: its broker, filter, destination, delivery and annotations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mesh_gateway.filters.dialects import Filter, FilterFaults, parse
from mesh_gateway.topology import documents
from mesh_gateway.topology.annotations import TRIGGER, check, read
from mesh_gateway.topology.delivery import delivery_spec
from mesh_gateway.topology.destinations import Addresses
from mesh_gateway.topology.faults import Path, Severity, meant
from mesh_gateway.topology.kinds import Compile
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import DeliverySpec, TriggerSpec


@dataclass(frozen=True, slots=True)
class TriggerReader:
    """Makes triggers; everything that is wrong with one is noted before it is given up."""

    brokers: Collection[str]
    deliveries: Mapping[str, DeliverySpec]
    """Broker -> the delivery of its triggers that have none of their own."""
    addresses: Addresses
    dialects: Mapping[str, Compile]

    def trigger(self, resource: Resource) -> tuple[TriggerSpec, Filter] | None:
        """The trigger and its compiled filter; None when it cannot run."""
        check(resource, TRIGGER)
        said = read(resource)
        filters, attributes, compiled = filter_of(resource, self.dialects)
        broker = self._broker(resource)
        found = resource.spec
        if not isinstance(found, documents.Trigger):
            return None
        destination = self.addresses.resolve(found.subscriber, resource, ("spec", "subscriber"))
        delivery = None if found.delivery is None else delivery_spec(found.delivery, resource, self.addresses)
        if broker is None or destination is None or compiled is None:
            return None
        spec = TriggerSpec(
            namespace=resource.namespace,
            name=resource.name,
            broker=broker,
            destination=destination,
            delivery=delivery or self.deliveries[broker],
            filters=filters,
            filter_attributes=attributes,
            **said,
        )
        return spec, compiled

    def _broker(self, resource: Resource) -> str | None:
        spec = members(resource.value.get("spec"))
        ref = spec.get("brokerRef")
        if ("broker" in spec) == (ref is not None):
            code, what = ("MG010", "broker and brokerRef exclude each other; take one") if ref else (
                "MG010", "needs a broker: the name of a Broker in the same namespace"
            )  # fmt: skip
            resource.fault(code, ("spec",), what, key=True)
            return None
        path: Path = ("spec", "broker") if ref is None else ("spec", "brokerRef", "name")
        name = spec["broker"] if ref is None else members(ref).get("name")
        namespace = resource.namespace if ref is None else members(ref).get("namespace", resource.namespace)
        if not isinstance(name, str) or not isinstance(namespace, str):
            return None  # noted with the shape of the document
        if ref is not None and members(ref).get("kind") not in (None, "Broker"):
            resource.fault("MG022", ("spec", "brokerRef", "kind"), "must be Broker")
            return None
        key = f"{namespace}/{name}"
        return known_broker(key, resource, path, self.brokers, partial=self.addresses.partial)


def known_broker(
    key: str, resource: Resource, path: Path, brokers: Collection[str], *, partial: bool
) -> str | None:
    """The broker that `path` of `resource` names; None after noting that it is not in the files."""
    if key in brokers:
        return key
    hint = meant(key, brokers) or f"; there are: {', '.join(sorted(brokers)[:10]) or 'none'}"
    severity: Severity | None = "warning" if partial else None
    resource.fault("MG020", path, f"there is no Broker {key} in the files{hint}", severity=severity)
    return None


def filter_of(
    resource: Resource, dialects: Mapping[str, Compile]
) -> tuple[tuple[Any, ...], tuple[tuple[str, str], ...], Filter | None]:
    """`filters`, `filter.attributes` and both compiled, from the plain values: a filter is looked at
    even when the rest of the document is wrong.
    """
    spec = members(resource.value.get("spec"))
    filters = spec.get("filters", [])
    attributes = members(members(spec.get("filter")).get("attributes"))
    if not isinstance(filters, list) or not all(isinstance(value, str) for value in attributes.values()):
        return (), (), None  # noted with the shape of the document
    if filters and attributes:
        resource.fault("MG032", ("spec", "filter"), "does not count: spec.filters is given too", key=True)
        attributes = {}
    pairs = tuple(attributes.items())
    try:
        compiled = parse(filters, pairs, dialects)
    except FilterFaults as error:
        for fault in error.faults:
            resource.fault("MG031", ("spec", *fault.path), fault.message)
        return tuple(filters), pairs, None
    for warning in compiled.warnings:
        resource.fault("MG030", ("spec", *warning.path), warning.message)
    return tuple(filters), pairs, compiled


def members(value: Any) -> Mapping[str, Any]:
    """The fields of an object; none of what is no object, which is noted elsewhere."""
    return value if isinstance(value, dict) else {}
