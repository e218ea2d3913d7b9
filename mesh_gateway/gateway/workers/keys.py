"""Which of several workers stores an event, where order is promised: for one key always the same one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

from mesh_gateway.event import Event
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.transport.contract import ChannelSpec

EMBEDDED = "embedded"
"""The kind of transport whose events belong to the process that took them; on all others the workers share them."""

Keyed = frozenset[tuple[str, str]]
"""Transport and channel of each Broker whose events go to the worker that has their key."""


def keyed(spec: GatewaySpec) -> Keyed:
    """Those of the Brokers on the embedded transport that have an ordered Trigger."""
    brokers = [
        spec.brokers[trigger.broker] for trigger in spec.triggers.values() if trigger.order == "ordered"
    ]
    return frozenset(
        (broker.transport, ChannelSpec(broker.namespace, broker.name).name)
        for broker in brokers
        if spec.transports[broker.transport].kind == EMBEDDED
    )


def owner(event: Event, workers: int) -> int:
    """The number of the worker that stores it: by what the lanes of a Trigger keep apart, and the same in every process."""
    key = event.attributes.get("partitionkey", "")
    return crc32(key.encode(errors="surrogatepass")) % workers


def shares(events: Sequence[Event], workers: int) -> Mapping[int, list[int]]:
    """Whose each event is: indexes by worker, in order."""
    found: dict[int, list[int]] = {}
    for index, event in enumerate(events):
        found.setdefault(owner(event, workers), []).append(index)
    return found
