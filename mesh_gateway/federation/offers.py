"""Asking before sending, where several ways lead to one broker: so a second copy of an event does not even cross a link.

    offered ─▶ is it durable here? ──yes──▶ not wanted
                 │ no
               promised to another lane? ──yes──▶ the answer waits for it to come by that one, `WAIT` at the longest
                 │ no
               promised to this lane: wanted

An answer waits only for lanes that made their offer earlier: a lane that makes a new one has broken its older promises,
and what becomes free goes to the offer that has waited longest. So no two wait for each other. Nor does any wait twice:
a lane that asks again, without having brought what it was asked for, has lost an answer or its patience, and is told at once.
Who has waited long enough is told that all is wanted which has not come.
Only what is durable is ever declined. A promise is no more than a saving: when it is forgotten or not kept in time,
two copies cross, and the second one is told apart by `inbox.py` as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from mesh_gateway.federation.transfer import UNWANTED, Lane, Offer, Transfer, Verdict

PATIENCE = 5.0
"""Seconds in which a lane has to bring what it was asked for: a full transfer (1 MiB) over 2 Mbit/s takes four."""

WAIT = 1.0
"""Seconds that an answer waits for what others bring: ten round trips over half the world, and a fifth of what the ingress
waits for a store (`publishTimeout`), after which nobody would hear the answer."""

MOST_PROMISES = 100_000
"""At once, of some 200 bytes each: two hundred relays with full transfers. The oldest goes first."""


class _Promise(NamedTuple):
    lane: Lane
    until: float


class Promises:
    """Which lane is to bring what. Pure: the clock is passed in, in seconds, and must not go back."""

    def __init__(self) -> None:
        self._made: dict[bytes, _Promise] = {}
        """Oldest first."""
        self._by_lane: dict[Lane, set[bytes]] = {}

    def begin(self, lane: Lane) -> bool:
        """The lane makes a new offer. What it was to bring after an older one is anybody's again; whether there was any."""
        broken = self._by_lane.pop(lane, set())
        for one in broken:
            del self._made[one]
        return bool(broken)

    def answer(
        self, offer: Offer, known: Collection[bytes], now: float, *, may_wait: bool = True
    ) -> list[bool] | None:
        """For each event whether it is wanted; None while that depends on what another lane brings.

        `known`: those that are durable here. Asked again for an offer that waits, in the order in which they came.
        """
        self._forget(now)
        wanted: list[bool] = []
        waits = False
        for one in offer.identities:
            promise = self._made.get(one)
            if one in known:
                wanted.append(False)
            elif promise is None or promise.lane == offer.lane or not may_wait:
                self._end(one)
                self._made[one] = _Promise(offer.lane, now + PATIENCE)
                self._by_lane.setdefault(offer.lane, set()).add(one)
                wanted.append(True)
            else:
                waits = True
        return None if waits else wanted

    def came(self, identities: Iterable[bytes]) -> None:
        """A transfer with these was judged: they are durable now, or anybody may bring them."""
        for one in identities:
            self._end(one)

    def _end(self, one: bytes) -> None:
        promise = self._made.pop(one, None)
        if promise is not None:
            mine = self._by_lane[promise.lane]
            mine.remove(one)
            if not mine:
                del self._by_lane[promise.lane]

    def _forget(self, now: float) -> None:
        while self._made:
            oldest = next(iter(self._made))
            if self._made[oldest].until > now and len(self._made) <= MOST_PROMISES:
                return
            self._end(oldest)


def wanted_part(transfer: Transfer, wanted: Sequence[bool]) -> Transfer:
    """What is left of a transfer. The numbers of the others are never sent: a later floor tells that they have ended."""
    events = tuple(one for one, is_wanted in zip(transfer.events, wanted, strict=True) if is_wanted)
    return Transfer(transfer.lane, transfer.floor, events)


def with_unwanted(wanted: Sequence[bool], verdicts: Iterable[Verdict | None]) -> list[Verdict | None]:
    """The verdicts of the whole transfer, from those of its wanted part."""
    given = iter(verdicts)
    return [next(given) if is_wanted else UNWANTED for is_wanted in wanted]
