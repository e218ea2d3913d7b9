"""What triggers need of their transports, held against what those declare."""

from __future__ import annotations

from collections.abc import Mapping

from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import BrokerSpec, TransportSpec, TriggerSpec
from mesh_gateway.transport.contract import Capabilities
from mesh_gateway.transport.negotiation import Needs, declared, negotiate


def needs_of(trigger: TriggerSpec) -> Needs:
    """What this trigger asks of its transport."""
    how = trigger.delivery
    growth = 2**how.retry if how.backoff_policy == "exponential" else max(how.retry, 1)
    longest = min(how.backoff_delay * growth, how.backoff_max) if how.retry else 0.0
    return Needs(
        ordered=trigger.order == "ordered",
        dedicated=trigger.read == "dedicated",
        start=trigger.start.at,
        longest_wait=longest,
    )


def check(
    triggers: Mapping[str, TriggerSpec],
    resources: Mapping[str, Resource],
    brokers: Mapping[str, BrokerSpec],
    transports: Mapping[str, TransportSpec | None],
    kinds: Kinds,
) -> None:
    """Note MG033 for every need that is refused; dead letters and backlog are an operator's comfort, not a need."""
    known: dict[str, Capabilities | None] = {}
    for key, trigger in triggers.items():
        broker = brokers.get(trigger.broker)
        spec = None if broker is None else transports.get(broker.transport)
        if spec is None:
            continue
        if spec.name not in known:
            kind = kinds.transports.get(spec.kind)
            known[spec.name] = None if kind is None else declared(kind, spec.options, kinds.load)
        can = known[spec.name]
        for finding in negotiate(needs_of(trigger), can) if can is not None else ():
            if finding.how == "refused" and finding.need.startswith(("read", "order")):
                resources[key].fault(
                    "MG033", ("spec",), f"{finding.need} on transport {spec.name}: {finding.says}"
                )
