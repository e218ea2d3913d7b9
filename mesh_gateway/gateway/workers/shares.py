"""What one of several workers serves, and what several of them cannot serve. Pure.

A number that is a promise to somebody else (deliveries at a time to a subscriber, events a second to a relay's target) is divided
among the workers. A number that bounds the memory or the files of a process counts for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from mesh_gateway.errors import TopologyError
from mesh_gateway.gateway.workers import stores
from mesh_gateway.gateway.workers.keys import EMBEDDED
from mesh_gateway.topology.spec import (
    AdminSpec,
    BrokerDestination,
    GatewaySpec,
    RelaySpec,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.contract import Capabilities, ChannelSpec, Purpose

Can = Callable[[TransportSpec], Capabilities | None]
"""What a transport declares; None where that cannot be known."""


def share(spec: GatewaySpec, number: int, workers: int) -> GatewaySpec:
    """What worker `number` of `workers` serves. A worker beyond them has the share of one more of their kind."""
    return replace(
        spec,
        admin=AdminSpec(),
        state_directory=stores.directory(state_of(spec), number),
        triggers={key: _trigger(trigger, number, workers) for key, trigger in spec.triggers.items()},
        relays={key: _relay(relay, workers) for key, relay in spec.relays.items()},
    )


def state_of(spec: GatewaySpec) -> Path:
    """The state directory of the whole. Raises `TopologyError` where there is none."""
    if spec.state_directory is None:
        raise TopologyError("several workers need a state directory: name one with --state DIR")
    return spec.state_directory


def _trigger(trigger: TriggerSpec, number: int, workers: int) -> TriggerSpec:
    return replace(trigger, parallelism=part(trigger.parallelism, number, workers))


def part(whole: int, number: int, workers: int) -> int:
    """A part of a number, so that those of all workers are the whole; 1 for a worker that is no more, however small that is."""
    return max(1, whole // workers + (number < whole % workers))


def _relay(relay: RelaySpec, workers: int) -> RelaySpec:
    return relay if relay.rate is None else replace(relay, rate=relay.rate / workers)


def local(spec: GatewaySpec, broker: str) -> bool:
    """Whether each worker has events of its own of this Broker, seen by no other."""
    found = spec.brokers.get(broker)
    return found is None or spec.transports[found.transport].kind == EMBEDDED


# ── what is refused ──────────────────────────────────────────────────────────────────────────


def refuse(spec: GatewaySpec, workers: int, can: Can) -> None:
    """Raises `TopologyError` with everything that `workers` of them would not keep what is promised of, and the way out."""
    state_of(spec)
    if workers == 1:
        return
    found = [
        *_orders(spec, workers, can),
        *_parallelism(spec, workers),
        *_receivers(spec, workers),
        *_positions(spec, workers),
    ]
    if found:
        raise TopologyError("\n".join(found))


def _orders(spec: GatewaySpec, workers: int, can: Can) -> Iterator[str]:
    for key, trigger in spec.triggers.items():
        transport = spec.transports[spec.brokers[trigger.broker].transport]
        if trigger.order != "ordered" or transport.kind == EMBEDDED:
            continue  # there an event goes to the worker that has its key (`keyed.py`)
        capabilities = can(transport)
        if capabilities is None or capabilities.ordering != "key":
            yield (
                f"MG054 Trigger {key} is ordered, and transport {transport.name} ({transport.kind}) keeps the order of a key for "
                f"one reader only: {workers} workers would deliver its events side by side. Put Broker {trigger.broker} on the "
                "embedded transport, or on Kafka (or SQS with fifo) with overflow: block, or run one worker (mgw help MG054)"
            )
        elif trigger.overflow != "block":
            yield (
                f"MG054 Trigger {key} is ordered and parks what does not fit its window; what is parked may come back to another "
                f"of {workers} workers than the one that has the rest of its key. Annotate it with mesh-gateway.dev/overflow: "
                "block, or run one worker (mgw help MG054)"
            )


def refuse_other_number(spec: GatewaySpec, workers: int) -> None:
    """Raises `TopologyError` where events of an ordered Trigger wait that another number of workers has stored: their keys would
    go to other workers, and what is new would overtake them. Reads files.
    """
    state = state_of(spec)
    before = stores.number_before(state)
    if before == workers:
        return
    for key, trigger in spec.triggers.items():
        broker = spec.brokers[trigger.broker]
        if trigger.order != "ordered" or spec.transports[broker.transport].kind != EMBEDDED:
            continue
        channels = [
            ChannelSpec(broker.namespace, broker.name).name,
            ChannelSpec(broker.namespace, broker.name, Purpose.PARKED, trigger.name).name,
        ]
        if stores.waiting(state, broker.transport, channels):
            raise TopologyError(
                f"MG058 Trigger {key} is ordered, and events wait for it that were stored for {before} worker{'s' * (before > 1)}: "
                f"with {workers}, others of the same key would overtake them. Run {before} until `status` shows that nothing waits, "
                "then change the number (mgw help MG058)"
            )


def _parallelism(spec: GatewaySpec, workers: int) -> Iterator[str]:
    for key, trigger in spec.triggers.items():
        if trigger.parallelism < workers:
            yield (
                f"MG057 Trigger {key} delivers {trigger.parallelism} at a time (mesh-gateway.dev/parallelism), which cannot be "
                f"divided among {workers} workers: raise it, or run {trigger.parallelism} (mgw help MG057)"
            )


def _receivers(spec: GatewaySpec, workers: int) -> Iterator[str]:
    way_out = (
        f"which of {workers} workers gets a transfer is chance, and what one has taken the others do not know, so an event "
        "could come twice. Run one worker here, and more in a gateway of its own that peers do not send to (mgw help MG055)"
    )
    if spec.peers:
        yield f"MG055 peers may relay into this gateway: {way_out}"
    for key, relay in spec.relays.items():
        if isinstance(relay.destination, BrokerDestination):
            yield f"MG055 Relay {key} leads to Broker {relay.destination.broker} of this gateway: {way_out}"


def _positions(spec: GatewaySpec, workers: int) -> Iterator[str]:
    for key, one in chain[tuple[str, TriggerSpec | RelaySpec]](spec.triggers.items(), spec.relays.items()):
        if one.start.at == "position" and local(spec, one.broker):
            yield (
                f"MG056 {key} starts at a position, and each of {workers} workers counts positions of its own on the embedded "
                "transport. Start at a timestamp, or run one worker (mgw help MG056)"
            )
