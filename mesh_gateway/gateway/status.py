"""What can be said of a running gateway, as plain documents with Knative's condition words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from mesh_gateway import native
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.gateway import backlog
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import BrokerParts, RelayParts
from mesh_gateway.gateway.reload import NO_MORE, Reloads
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


STALLED_SECONDS = 15.0
"""Without a word of its target, although it is asked every five: three misses in a row."""


def relay(one: RelayParts, mesh: Mesh, waiting: Backlog | None) -> dict[str, Any]:
    """What a relay does, as its transfers and greetings show it."""
    running = one.relay
    counters, contact = running.counters, running.contact
    verdicts = counters.verdicts
    return {
        "name": one.spec.key,
        "from": one.home.spec.key,
        "to": running.target.address,
        "mode": None if contact.manner is None else contact.manner.mode,
        "place": None if contact.manner is None else contact.manner.place,
        "conditions": [_relay_condition(one, mesh)],
        "backlog": None if waiting is None else waiting.events,
        "oldest_age": None if waiting is None else waiting.oldest_age,
        "held": running.held,
        "sent": sum(verdicts[word] for word in ("accepted", "duplicate", "looped")),
        **{
            word: verdicts[word]
            for word in ("accepted", "duplicate", "unwanted", "looped", "refused", "hops")
        },
        "skipped": counters.skipped,
        "filtered": counters.filtered,
        "dead_lettered": counters.dead_lettered,
        "failures": dict(counters.failures),
        "last_error": counters.last_error,
        "last_success": counters.last_success,
    }


def _relay_condition(one: RelayParts, mesh: Mesh) -> dict[str, str]:
    """Ready only when the target has just answered: a relay that moves nothing is never called running."""
    contact, counters = one.relay.contact, one.relay.counters
    part = mesh.supervised.get(f"relay {one.spec.key}")
    if part is not None and part.state == "failed":
        return condition("False", "Failed", part.error)
    if not one.home.link.up.is_set():
        return condition("Unknown", "BrokerNotReady", one.home.link.detail)
    if contact.manner is None or contact.failing:
        if counters.last_reason:
            return condition("False", _words(counters.last_reason), counters.last_error)
        return condition("Unknown", "NotContacted", "the target has not answered yet")
    silent = contact.silent_for
    if silent is None or silent > STALLED_SECONDS:
        return condition("False", "Stalled", f"the target has said nothing for {silent or 0.0:.0f} s")
    return condition("True")


def relay_ready(one: RelayParts, mesh: Mesh) -> bool:
    """Whether its `Ready` condition is true."""
    return _relay_condition(one, mesh)["status"] == "True"


def _words(reason: str) -> str:
    """`not found` as a condition's reason: NotFound."""
    return "".join(word.capitalize() for word in reason.split())


def configured(reloads: Reloads) -> dict[str, str]:
    """Whether the documents served are those that the last reload found, and the next will be."""
    if reloads.ended:
        return {**condition("False", "ReloadsEnded", NO_MORE), "type": "Configured"}
    if reloads.refusal is None:
        return {**condition("True"), "type": "Configured"}
    return {**condition("False", "ReloadRefused", reloads.refusal.reason), "type": "Configured"}


async def whole(
    mesh: Mesh, reloads: Reloads, *, version: str, state: str, urls: Mapping[str, str], broker_url: Any
) -> dict[str, Any]:
    """Everything, for `mesh-gateway status`; all transports are asked at once."""
    spec = mesh.parts.spec
    homes = list(mesh.homes())
    owners = [(home, one) for home in homes for one in home.triggers]
    relays = list(mesh.parts.relays.values())
    removed, letters, parked, unsent = await asyncio.gather(
        mesh.removed.backlogs(),
        asyncio.gather(*(backlog.dead_letters(home) for home in homes)),
        asyncio.gather(*(backlog.parked(one, home) for home, one in owners)),
        asyncio.gather(*(backlog.unsent(one.relay, one.home) for one in relays)),
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
        "native": native.PARTS.used,
        "generation": reloads.generation,
        "digest": spec.digest,
        "state": state,
        "conditions": [configured(reloads)],
        "reload": reloads.document(),
        **urls,
        "transports": [transport(link) for link in mesh.parts.links.values()],
        "brokers": brokers,
        "triggers": triggers,
        "removed": removed,
        "relays": [relay(one, mesh, waiting) for one, waiting in zip(relays, unsent, strict=True)],
    }


def destination(spec: GatewaySpec, trigger: str) -> str:
    """Where a trigger delivers, for messages."""
    to = spec.triggers[trigger].destination
    if isinstance(to, HttpDestination):
        return to.url
    return f"broker {to.broker}" if isinstance(to, BrokerDestination) else to.uri
