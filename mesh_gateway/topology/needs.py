"""What triggers and relays need of their transports, held against what those declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.topology.annotations import PREFIX
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.knative import KAFKA_ORDER, RABBITMQ_PARALLELISM
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import BrokerSpec, RelaySpec, TransportSpec, TriggerSpec
from mesh_gateway.transport.contract import Capabilities
from mesh_gateway.transport.negotiation import Needs, declared, negotiate


def needs_of(trigger: TriggerSpec, event_bytes: int = 0) -> Needs:
    """What this trigger asks of its transport, on a gateway that accepts events of so many bytes."""
    how = trigger.delivery
    policy = RetryPolicy(
        retry=how.retry, backoff=how.backoff_policy, delay=how.backoff_delay, backoff_max=how.backoff_max
    )
    return Needs(
        ordered=trigger.order == "ordered",
        dedicated=trigger.read == "dedicated",
        start=trigger.start.at,
        longest_wait=policy.longest(),
        event_bytes=event_bytes,
    )


def needs_of_relay(relay: RelaySpec, event_bytes: int = 0) -> Needs:
    """The same of a relay."""
    return Needs(start=relay.start.at, event_bytes=event_bytes, relay=True)


ASKED: Mapping[str, tuple[str, ...]] = {
    "read": (PREFIX + "read",),
    "start": (PREFIX + "start",),
    "order": (PREFIX + "order", KAFKA_ORDER, RABBITMQ_PARALLELISM),
}
"""What a Trigger asks for by an annotation. The rest (dead letters, backlog) is an operator's comfort, no need of it."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What the transport of each broker declares, with the options of its document."""

    brokers: Mapping[str, BrokerSpec]
    transports: Mapping[str, TransportSpec | None]
    kinds: Kinds
    known: dict[str, Capabilities | None] = field(default_factory=dict)

    def of(self, broker: str) -> tuple[str, Capabilities] | None:
        """(transport, what it can); None where that cannot be known, which is a fault of its own."""
        spec = self.transports.get(self.brokers[broker].transport)
        if spec is None:
            return None
        if spec.name not in self.known:
            kind = self.kinds.transports.get(spec.kind)
            self.known[spec.name] = None if kind is None else declared(kind, spec.options, self.kinds.load)
        can = self.known[spec.name]
        return None if can is None else (spec.name, can)


def check(triggers: Mapping[str, TriggerSpec], resources: Mapping[str, Resource], offers: Offers) -> None:
    """Note MG033 for everything that a Trigger asks for and its transport refuses."""
    for key, trigger in triggers.items():
        offer = offers.of(trigger.broker)
        if offer is None:
            continue
        name, can = offer
        for finding in negotiate(needs_of(trigger), can):
            if finding.how == "refused" and finding.of in ASKED:
                resource = resources[key]
                asked = next(one for one in ASKED[finding.of] if one in resource.annotations)
                message = f"{finding.need} on transport {name}: {finding.says}"
                resource.fault("MG033", ("metadata", "annotations", asked), message)


def check_relays(relays: Mapping[str, RelaySpec], resources: Mapping[str, Resource], offers: Offers) -> None:
    """The same for the start of a Relay, which is all that it may ask for."""
    for key, relay in relays.items():
        offer = offers.of(relay.broker)
        if offer is None:
            continue
        name, can = offer
        for finding in negotiate(needs_of_relay(relay), can):
            if finding.how == "refused" and finding.of == "start":
                message = f"{finding.need} on transport {name}: {finding.says}"
                resources[key].fault("MG033", ("spec", "start"), message)


def check_size(document: Resource | None, event_bytes: int | None, offers: Offers) -> None:
    """Warn (MG034) of a `maxEventBytes` that somebody has chosen and a transport in use cannot store."""
    if document is None or event_bytes is None:
        return
    limits = {
        offer[0]: offer[1].max_event_bytes for key in offers.brokers if (offer := offers.of(key)) is not None
    }
    for name, limit in limits.items():
        if limit is not None and limit < event_bytes:
            message = f"transport {name} stores at most {limit} bytes: a larger event is answered with 413"
            document.fault("MG034", ("spec", "ingress", "maxEventBytes"), message)
