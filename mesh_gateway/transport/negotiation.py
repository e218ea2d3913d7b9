"""What a trigger or relay needs of its transport: had natively, emulated at a price, or refused with a way out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from mesh_gateway.errors import MeshError
from mesh_gateway.transport.contract import Capabilities, TransportContext
from mesh_gateway.transport.hooks import TransportKind

How = Literal["native", "emulated", "refused"]
Of = Literal["size", "read", "start", "order", "retries", "dead letters", "backlog", "duplicates"]

WATERMARK_SECONDS = 30.0
"""As `delivery.waiting`: how long one event may hold back those after it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one trigger or relay asks of its transport.

    `longest_wait` is the sum of all waits between attempts in seconds: so long may one event be held.
    `event_bytes` is the largest event that the gateway accepts for its broker.
    """

    ordered: bool = False
    dedicated: bool = False
    start: str = "latest"
    longest_wait: float = 0.0
    event_bytes: int = 0
    relay: bool = False
    """Its events wait here while its target is away: it keeps its own place, whatever others read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one need is met. `says` names the price, or the way out."""

    of: Of
    need: str
    how: How
    says: str = ""


def negotiate(needs: Needs, can: Capabilities) -> list[Finding]:
    """One finding for each need, in the order of an event's way."""
    found = [
        _size(needs, can),
        _reading(needs, can),
        _order(needs, can),
        _waiting(needs, can),
        _letters(can),
        _backlog(can),
        _once(can),
    ]
    return [finding for finding in found if finding is not None]


def _size(needs: Needs, can: Capabilities) -> Finding | None:
    if not needs.event_bytes:
        return None
    need = f"events up to {needs.event_bytes} bytes"
    limit = can.max_event_bytes
    if limit is None or needs.event_bytes <= limit:
        return Finding("size", need, "native")
    return Finding(
        "size",
        need,
        "refused",
        f"one above {limit} bytes is answered with 413 that names the limit; keep data elsewhere",
    )


def _reading(needs: Needs, can: Capabilities) -> Finding:
    if not needs.dedicated and not needs.relay:
        return Finding("read", "read: shared", "native")
    what = "a group of its own" if needs.relay else "read: dedicated"
    need = f"{what}, start: {needs.start}"
    if needs.relay and not can.groups:
        return _copied(need, needs.start)
    if not can.groups:
        return Finding(
            "read",
            need,
            "refused",
            "the transport has one group of readers for a channel; leave it at read: shared",
        )
    if needs.start in ("timestamp", "position") and needs.start not in can.seek:
        return Finding("start", need, "refused", f"the transport cannot begin at a {needs.start}; use latest")
    if needs.start == "earliest" and not can.seek:
        return Finding(
            "read", need, "emulated", "begins when its queue is made: there is nothing from before"
        )
    return Finding("read", need, "native")


def _copied(need: str, start: str) -> Finding:
    """A relay without a group: what it wants is copied to a channel of its own by the broker's one reader."""
    if start in ("timestamp", "position"):
        return Finding("start", need, "refused", f"the transport cannot begin at a {start}; use latest")
    price = "what it wants is copied through its own parked channel: one more write for each event"
    if start == "earliest":
        price += "; there is nothing from before the first copy"
    return Finding("read", need, "emulated", price)


def _order(needs: Needs, can: Capabilities) -> Finding | None:
    if not needs.ordered:
        return None
    need = "order per key"
    if can.ordering == "none":
        way = (
            "the transport keeps no order; choose another one (SQS: the option fifo), or take the order away"
        )
        return Finding("order", need, "refused", way)
    return Finding("order", need, "native", "" if can.ordering == "key" else "with one reader at a time")


def _waiting(needs: Needs, can: Capabilities) -> Finding | None:
    if needs.relay:
        return None  # what it holds while its target is away goes back before the transport takes it
    need = f"retries that wait up to {needs.longest_wait:g} s in all"
    limit = float("inf") if can.lease is None else can.lease
    if can.settle == "watermark":
        limit = min(limit, WATERMARK_SECONDS)
    if needs.longest_wait <= limit:
        return Finding("retries", need, "native")
    if needs.ordered:
        return Finding(
            "retries",
            need,
            "emulated",
            "held, because nothing may overtake it: after a crash more comes again",
        )
    return Finding(
        "retries",
        need,
        "emulated",
        f"parked after {limit:g} s: a second write, and its place in the line is lost",
    )


def _letters(can: Capabilities) -> Finding:
    if can.browse:
        return Finding("dead letters", "dead letters listed and redriven", "native")
    return Finding(
        "dead letters",
        "dead letters listed and redriven",
        "refused",
        "they are kept; read them with the broker's own tools",
    )


def _backlog(can: Capabilities) -> Finding:
    if can.measure:
        return Finding("backlog", "backlog in status", "native")
    return Finding("backlog", "backlog in status", "refused", "look at the broker's own metrics")


def _once(can: Capabilities) -> Finding | None:
    if can.dedup is None:
        return None  # nobody asks for it: a trigger delivers at least once everywhere
    need = "an event that is published twice is delivered once"
    return Finding("duplicates", need, "native", f"within {can.dedup:g} s")


def declared(
    kind: TransportKind, options: Mapping[str, Any], load: Callable[[str], Any]
) -> Capabilities | None:
    """What this kind declares with these options; None when it cannot be made (whoever runs it says why).

    The object is made and thrown away: constructors do no I/O.
    """
    try:
        model = load(kind.options).model_validate(dict(options))
        found = load(kind.load)(model, TransportContext(kind.name, None)).capabilities
    except (
        MeshError,
        ValidationError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
    ):
        # A foreign constructor: lint says what it can, and the gateway's start says the rest.
        return None
    return found if isinstance(found, Capabilities) else None
