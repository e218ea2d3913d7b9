"""Looking into dead letters, and sending them again to the trigger or relay that failed — to that one only.

A redrive publishes the event, without its error attributes, to the parked channel of that one, and
takes the dead letter away once that is durable. A crash in between leaves both: the event is then
delivered twice, never zero times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesh_gateway.delivery.deadletter import without_error
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.errors import Unsupported
from mesh_gateway.federation.relay import Relay
from mesh_gateway.gateway.parts import BrokerParts, Parts
from mesh_gateway.transport.contract import Browsable, Removable, Stored
from mesh_gateway.wire import json

Redriven = Trigger | Relay
"""Who gets an event again that it could not deliver."""

PAGE = 256
"""Dead letters looked at, published and removed at a time."""

LONGEST = 12
"""Digits of a code or a count."""

HIDDEN = frozenset({"knativebrokerttl"})


@dataclass(slots=True)
class Redrive:
    """What a redrive did, or would do."""

    dry_run: bool
    matched: int = 0
    redriven: int = 0
    by_trigger: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        return {
            "matched": self.matched,
            "redriven": self.redriven,
            "by_trigger": dict(self.by_trigger),
            "by_reason": dict(self.by_reason),
            "dry_run": self.dry_run,
        }


async def page(home: BrokerParts, *, after: str | None, limit: int) -> Sequence[Stored]:
    """Up to `limit` dead letters of one broker behind `after`. Raises `TransportError`."""
    return await _browsable(home).browse(home.dead_letters.name, after=after, limit=limit)


async def at(home: BrokerParts, position: str) -> Stored | None:
    """The dead letter at exactly this position. Looks from the oldest on: what comes before a position, and
    whether it is one at all, only the transport knows. Raises `TransportError`.
    """
    async for letters in _pages(home):
        for letter in letters:
            if letter.position == position:
                return letter
    return None


def row(broker: str, letter: Stored) -> dict[str, Any]:
    """A dead letter as `dlq list` shows it."""
    attributes = letter.event.attributes
    code = attributes.get("knativeerrorcode")
    attempts = attributes.get("meshattempts")
    return {
        "broker": broker,
        "position": letter.position,
        "id": attributes["id"],
        "source": attributes["source"],
        "type": attributes["type"],
        "trigger": attributes.get("meshtrigger", ""),
        "reason": attributes.get("meshreason", ""),
        "code": _whole(code),
        "attempts": _whole(attempts),
        "time": letter.enqueued_at,
    }


def _whole(text: str | None) -> int | None:
    """A number that we wrote; None for what somebody else wrote into the same channel."""
    return int(text) if text is not None and text.isdecimal() and len(text) < LONGEST else None


def document(broker: str, letter: Stored) -> dict[str, Any]:
    """A dead letter as `dlq show` shows it: the row and the whole event."""
    return {**row(broker, letter), "event": json.as_document(letter.event, HIDDEN)}


async def redrive(
    home: BrokerParts, parts: Parts, *, trigger: str | None, limit: int | None, dry_run: bool
) -> Redrive:
    """Send dead letters of one broker again, oldest first; at most `limit`, only `trigger`'s if given.

    Letters of a trigger or relay that no longer exists, or of none (unreadable records), are counted under the
    reason "no such trigger" and stay; the limit passes them by. Raises `TransportError`; what was redriven by
    then stays redriven.
    """
    result = Redrive(dry_run)
    async for letters in _pages(home):
        chosen: list[tuple[Redriven, Stored]] = []
        for letter in letters:
            if limit is not None and result.by_trigger.total() >= limit:
                break
            name = letter.event.attributes.get("meshtrigger", "")
            if trigger is not None and trigger not in (name, name.partition("/")[2]):
                continue
            result.matched += 1
            target = parts.redriven(name)
            if target is None:
                result.by_reason[f"no such trigger: {name or 'unknown'}"] += 1
                continue
            result.by_trigger[name] += 1
            result.by_reason[letter.event.attributes.get("meshreason", "unknown")] += 1
            chosen.append((target, letter))
        if not dry_run:
            result.redriven += await _send_again(home, chosen)
        if limit is not None and result.by_trigger.total() >= limit:
            break
    return result


async def _send_again(home: BrokerParts, chosen: Sequence[tuple[Redriven, Stored]]) -> int:
    removable = home.link.transport
    if not isinstance(removable, Removable):
        raise Unsupported(f"transport {home.link.name} cannot take single dead letters out of a channel")
    for target in dict.fromkeys(target for target, _ in chosen):
        mine = [letter for owner, letter in chosen if owner is target]
        await target.parking.channel.put([without_error(letter.event) for letter in mine])
        await removable.remove(home.dead_letters.name, [letter.position for letter in mine])
        target.parking.wake()
    return len(chosen)


async def _pages(home: BrokerParts) -> AsyncIterator[Sequence[Stored]]:
    after: str | None = None
    while letters := await page(home, after=after, limit=PAGE):
        yield letters
        after = letters[-1].position


def _browsable(home: BrokerParts) -> Browsable:
    transport = home.link.transport
    if not isinstance(transport, Browsable):
        raise Unsupported(f"transport {home.link.name} cannot show what is in a channel")
    return transport
