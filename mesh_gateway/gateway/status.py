"""What can be said of a running gateway, as plain documents with Knative's condition words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.gateway import backlog
from mesh_gateway.gateway.assembly import BrokerParts
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.topology.spec import BrokerDestination, GatewaySpec, HttpDestination
from mesh_gateway.transport.contract import Backlog

Truth = Literal["True", "False", "Unknown"]


def condition(status: Truth, reason: str = "", message: str = "") -> dict[str, str]:
    """One `Ready` condition."""
    return {"type": "Ready", "status": status, "reason": reason, "message": message}


def transport(link: Link) -> dict[str, Any]:
    return {
        "name": link.name,
        "kind": link.kind,
        "up": link.up.is_set(),
        "detail": link.detail,
        "drift": [asdict(drift) for drift in link.drifts],
    }


def broker(home: BrokerParts, mesh: Mesh, url: str, dead_letters: Backlog | None) -> dict[str, Any]:
    return {
        "name": home.spec.key,
        "transport": home.link.name,
        "url": url,
        "conditions": [_broker_condition(home, mesh)],
        "accepted": home.broker.counters.accepted,
        "dead_letters": None if dead_letters is None else dead_letters.events,
    }


def _broker_condition(home: BrokerParts, mesh: Mesh) -> dict[str, str]:
    if not home.link.up.is_set():
        return condition("False", "TransportDown", home.link.detail)
    for reader in home.readers:
        part = mesh.supervised.get(f"reader {reader.broker} {reader.group}")
        if part is not None and not part.ok:
            return condition("False", "NotRead", part.error)
    return condition("True")


def trigger(
    trigger: Trigger, home: BrokerParts, spec: GatewaySpec, mesh: Mesh, parked: Backlog | None
) -> dict[str, Any]:
    counters = trigger.counters
    document = spec.triggers[trigger.key]
    return {
        "name": trigger.key,
        "broker": trigger.broker,
        "subscriber": trigger.sink.address,
        "conditions": [_trigger_condition(trigger, home, mesh)],
        "in_flight": trigger.in_flight,
        "window": trigger.held,
        "window_limit": trigger.window.events,
        "parked": None if parked is None else parked.events,
        "lag": trigger.held + (0 if parked is None else parked.events),
        "oldest_age": None if parked is None else parked.oldest_age,
        "delivered": counters.delivered,
        "retried": counters.retried,
        "dead_lettered": counters.dead_lettered + counters.stored_dead_letters,
        "filtered": filtered(trigger, home, document.read),
        "last_error": counters.last_error,
    }


def filtered(trigger: Trigger, home: BrokerParts, read: str) -> int:
    """Events its reader has read and its filter has refused."""
    name = trigger.key.partition("/")[2]
    group = name if read == "dedicated" else home.readers[0].group
    received = next((reader.received for reader in home.readers if reader.group == group), 0)
    return max(0, received - trigger.counters.matched)


def _trigger_condition(trigger: Trigger, home: BrokerParts, mesh: Mesh) -> dict[str, str]:
    part = mesh.supervised.get(f"trigger {trigger.key}")
    if part is not None and part.state == "failed":
        return condition("False", "Failed", part.error)
    if not home.link.up.is_set():
        return condition("Unknown", "BrokerNotReady", home.link.detail)
    if trigger.counters.failing:
        return condition("False", "SubscriberUnreachable", trigger.counters.last_error)
    return condition("True")


async def whole(
    mesh: Mesh, spec: GatewaySpec, *, version: str, state: str, urls: Mapping[str, str], broker_url: Any
) -> dict[str, Any]:
    """Everything, for `mesh-gateway status`; all transports are asked at once."""
    homes = list(mesh.homes())
    owners = [(home, one) for home in homes for one in home.triggers]
    letters, parked = await asyncio.gather(
        asyncio.gather(*(backlog.dead_letters(home) for home in homes)),
        asyncio.gather(*(backlog.parked(one, home) for home, one in owners)),
    )
    brokers = [
        broker(home, mesh, broker_url(home.spec.key), waiting)
        for home, waiting in zip(homes, letters, strict=True)
    ]
    triggers = [
        trigger(one, home, spec, mesh, waiting) for (home, one), waiting in zip(owners, parked, strict=True)
    ]
    return {
        "gateway": spec.name,
        "cluster": spec.cluster,
        "version": version,
        "generation": 1,
        "digest": spec.digest,
        "state": state,
        **urls,
        "transports": [transport(link) for link in mesh.parts.links.values()],
        "brokers": brokers,
        "triggers": triggers,
    }


def destination(spec: GatewaySpec, trigger: str) -> str:
    """Where a trigger delivers, for messages."""
    to = spec.triggers[trigger].destination
    if isinstance(to, HttpDestination):
        return to.url
    return f"broker {to.broker}" if isinstance(to, BrokerDestination) else to.uri
