"""The receiver's judgement of a transfer: which of its events are new here.

Judging changes nothing. The judgement names what has to become durable *in one step*, and only after that may the
verdicts be told. Told before, a crash loses what the sender has then forgotten; events that are recorded as seen before
they are stored are lost by a crash in between, for they will be called duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from mesh_gateway.broker import ttl
from mesh_gateway.delivery.reply import TTL
from mesh_gateway.errors import HopsExhausted, InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import ACCEPTED, DUPLICATE, LOOPED, Transfer, Verdict, Word

NOTHING: Mapping[bytes, str] = MappingProxyType({})

Known = Callable[[Iterable[bytes]], set[bytes]]
"""Those of these identities that came before, as far back as the receiver remembers."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a broker lets in by relays."""

    here: str
    """Its place: `cluster/namespace/broker`."""
    max_hops: int = via.MAX_HOPS
    types: tuple[str, ...] = ()
    """Prefixes of the types that the sender may send; none given = all."""

    def refusal(self, event: Event) -> str | None:
        """Why this event may not come in; None when it may."""
        try:
            crossed = via.hops(event)
        except InvalidEvent as error:
            return str(error)
        if crossed > self.max_hops:
            return f"it has crossed {crossed} links between gateways, the limit is {self.max_hops}"
        try:
            ttl.spend(event.attributes.get(TTL))
        except HopsExhausted as error:
            return str(error)
        if self.types and not event.type.startswith(self.types):
            return f"events of type {event.type[:128]!r} may not be sent here"
        return None


class New(NamedTuple):
    """An event that was accepted, and what is remembered of it."""

    number: int
    identity: bytes
    event: Event


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a transfer means, before anything of it is durable."""

    verdicts: tuple[Verdict | None, ...]
    """For each event of the transfer; None = it has none, and is to be sent again."""
    new: tuple[New, ...]
    """For the broker's log, its lane, and the identities that are remembered."""
    identities: tuple[bytes, ...]
    """Of all events of the transfer."""
    floor: int

    def without(self, failed: Collection[bytes], refused: Mapping[bytes, str] = NOTHING) -> Judgement:
        """The same when these identities could not be stored: they have no verdict, nor have their doubles in this
        transfer. Those in `refused` never can be: why.
        """
        verdicts: list[Verdict | None] = []
        for own, verdict in zip(self.identities, self.verdicts, strict=True):
            told = verdict not in (ACCEPTED, DUPLICATE)
            if told or (own not in failed and own not in refused):
                verdicts.append(verdict)
            else:
                verdicts.append(Verdict(Word.REFUSED, refused[own]) if own in refused else None)
        new = tuple(one for one in self.new if one.identity not in failed and one.identity not in refused)
        return Judgement(tuple(verdicts), new, self.identities, self.floor)

    def seen(self, lane: Seen) -> Seen:
        """The lane as it is once `new` is durable."""
        after = lane.copy()
        after.advance(self.floor)
        for one in self.new:
            after.add(one.number)
        return after


def judge(transfer: Transfer, lane: Seen, known: Known, rules: Rules) -> Judgement:
    """Judge a transfer. `lane` is what was seen of its lane so far; it is left as it is.

    A loop is looked for first: what comes back to where it was logged is no fault of anybody. A number that was seen is a
    duplicate whatever is known of its identity; by its identity is recognised what comes under another number: from a
    sender that has started anew, or by another way.
    """
    identities = tuple(identity(event) for _, event in transfer.events)
    taken = known(identities)
    verdicts: list[Verdict] = []
    new: list[New] = []
    for (number, event), own in zip(transfer.events, identities, strict=True):
        verdict = _verdict(event, rules)
        if verdict is ACCEPTED and (number in lane or own in taken):
            verdict = DUPLICATE
        if verdict is ACCEPTED:
            new.append(New(number, own, event))
            taken.add(own)
        verdicts.append(verdict)
    return Judgement(tuple(verdicts), tuple(new), identities, transfer.floor)


def _verdict(event: Event, rules: Rules) -> Verdict:
    """What can be said of an event without knowing what came before."""
    if rules.here in via.logged_by(event):
        return LOOPED
    why = rules.refusal(event)
    return ACCEPTED if why is None else Verdict(Word.REFUSED, why)
