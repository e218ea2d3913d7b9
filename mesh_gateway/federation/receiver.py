"""The receiver's side of relays, for one broker: transfers in, verdicts out once all of them are true.

    take ─▶ waiting ─▶ judged and stored, all that wait together ─▶ told

Where several ways lead to the broker, events are offered first, and an answer says which are wanted (`offers.py`); what is
known is asked in the commit that stores what came before.

On a transport that can remember, judging and storing are one commit. On any other the judgement is that of this
process, and what slips through (a crash between storing and answering) is found by the `Sieve` when it is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from mesh_gateway.broker.broker import Broker
from mesh_gateway.delivery.window import COPY_OVERHEAD
from mesh_gateway.errors import ConnectionLost, EventError, InvalidEvent, MeshError, Throttled, TransportError
from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.inbox import Judgement, Rules, judge
from mesh_gateway.federation.lanes import Lanes
from mesh_gateway.federation.memory import ProcessMemory
from mesh_gateway.federation.offers import WAIT, Promises
from mesh_gateway.federation.transfer import ACCEPTED, Offer, Transfer, Verdict, Word
from mesh_gateway.transport.batch import Done
from mesh_gateway.transport.contract import Memory, Remembering

MOST_BYTES = 16_777_216
"""Of the transfers that are committed together: with 16 of the usual size the cost of a commit is shared well enough,
and one commit stays a matter of a few hundred milliseconds."""

MOST_WAITING = 4 * MOST_BYTES
"""Of the transfers that wait. A packed one is a thousand times as large as what the ingress has counted of it."""

MOST_OFFERS = 16
"""Of one cluster, that wait for an answer; a relay has one. Beyond them everything is wanted: only its copies cross in vain."""

Verdicts = Sequence[Verdict | None]
Told = Callable[[Verdicts | TransportError], None]
"""Called once: a verdict for each event of the transfer, or why there is none. Must not raise."""

Wanted = Callable[[Sequence[bool] | TransportError], None]
"""Called once: for each event of the offer whether it is wanted, or why that is not known. Must not raise."""


@dataclass(frozen=True, slots=True, eq=False)
class _Offered:
    offer: Offer
    told: Wanted
    until: float
    """When it has waited long enough."""


@dataclass(slots=True)
class _Waiting:
    transfer: Transfer
    rules: Rules
    told: Told
    size: int = field(init=False)

    def __post_init__(self) -> None:
        events = self.transfer.events
        self.size = sum([len(event.data or b"") for _, event in events]) + COPY_OVERHEAD * len(events)


class Receiver:
    """Takes what peers send into one broker. `take` and `accept` from any callback of the loop; `run` has one owner."""

    def __init__(
        self,
        broker: Broker,
        place: str,
        max_hops: int = via.MAX_HOPS,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self.verdicts: Counter[tuple[str, str]] = Counter()
        """By (sending cluster, word); `undecided` for events that got no verdict."""
        self._now = now
        self._broker = broker
        self._max_hops = max_hops
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._offered: list[_Offered] = []
        """In the order in which they came."""
        self._promises = Promises()
        self._wake = asyncio.Event()
        self._ended = False
        """It has run, and does not now: nobody would look at what came."""
        self._memory = ProcessMemory()

    @property
    def forgotten(self) -> int:
        """Identities that went before their day was over, for want of room: their duplicates would not be known."""
        return self._memory.forgotten

    def take(self, transfer: Transfer, types: tuple[str, ...], told: Told) -> None:
        """Judge and store a transfer. `told` is called later, never before this returns; then what was accepted is durable."""
        if (error := self._cannot()) is not None:
            asyncio.get_running_loop().call_soon(told, error)
            return
        one = _Waiting(transfer, Rules(self.place, self._max_hops, types), told)
        if self._waiting and self._waiting_bytes + one.size > MOST_WAITING:
            busy = Throttled(f"{self._broker.key}: too many transfers wait to be stored", retry_after=1)
            asyncio.get_running_loop().call_soon(told, busy)
            return
        self._waiting.append(one)
        self._waiting_bytes += one.size
        self._wake.set()

    def offer(self, offer: Offer, told: Wanted) -> None:
        """Say which of these events are wanted. `told` is called later, never before this returns; what it declines is
        durable here. It waits for what others were asked to bring, for `offers.WAIT` at the longest.
        """
        soon = asyncio.get_running_loop().call_soon
        if (error := self._cannot()) is not None:
            soon(told, error)
            return
        older = [one for one in self._offered if one.offer.lane == offer.lane]
        for one in older:
            self._offered.remove(one)
            soon(one.told, ConnectionLost("its sender has asked anew"))
        if sum(one.offer.lane.cluster == offer.lane.cluster for one in self._offered) >= MOST_OFFERS:
            soon(told, [True] * len(offer.identities))
            return
        asks_again = self._promises.begin(offer.lane) or bool(older)
        self._offered.append(_Offered(offer, told, self._now() + (0.0 if asks_again else WAIT)))
        self._wake.set()

    def accept(self, events: Sequence[Event], cluster: str, types: tuple[str, ...], done: Done) -> None:
        """Store single events of a peer, `mesh*` attributes and all, without looking for duplicates; `done` is called later.

        One that this broker has logged is dropped and counted. Raises `InvalidEvent` for one that may not come in; then
        nothing is stored.
        """
        rules = Rules(self.place, self._max_hops, types)
        arrival = self._broker.arrival()
        new: list[Event] = []
        for event in events:
            if self.place in via.logged_by(event):
                self.verdicts[cluster, Word.LOOPED.value] += 1
                continue
            why = rules.refusal(event)
            if why is not None:
                self.verdicts[cluster, Word.REFUSED.value] += 1
                raise InvalidEvent(why)
            new.append(self._broker.relayed(event, arrival))

        def counted(error: MeshError | None) -> None:
            if error is None:
                self.verdicts[cluster, Word.ACCEPTED.value] += len(new)
                self._broker.counters.accepted += len(new)
            done(error)

        self._broker.channel.publish_all(new, counted)

    async def run(self) -> None:
        """Judge and store until cancelled. Raises nothing of its own: each transfer is told how it went."""
        self._ended = False
        try:
            while True:
                await self._something_to_do()
                taken, offered = self._take_some(), tuple(self._offered)
                try:
                    judgements, known = await self._store(taken, [one.offer for one in offered])
                except TransportError as error:
                    self._fail(taken, offered, error)
                except BaseException:
                    self._fail(taken, offered, ConnectionLost("receiving was interrupted"))
                    raise
                else:
                    for one, judgement in zip(taken, judgements, strict=True):
                        self._tell(one, judgement)
                    self._answer(offered, known)
        finally:
            self._ended = True
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._fail(waiting, tuple(self._offered), self._over())

    def _cannot(self) -> ConnectionLost | None:
        """Why nothing can be taken now."""
        if not self._broker.channel.up:
            return ConnectionLost(f"{self._broker.key}: its transport is down", retry_after=1)
        return self._over() if self._ended else None

    def _over(self) -> ConnectionLost:
        return ConnectionLost("the gateway stops receiving", retry_after=1)

    async def _something_to_do(self) -> None:
        """Returns when something has come, or an answer has waited long enough."""
        if not self._waiting:
            first = min((one.until for one in self._offered), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if first is None else max(0.0, first - self._now())):
                    await self._wake.wait()
        self._wake.clear()

    def _take_some(self) -> list[_Waiting]:
        size = count = 0
        for one in self._waiting:
            size += one.size
            if count and size > MOST_BYTES:
                break
            count += 1
        taken = self._waiting[:count]
        del self._waiting[:count]
        self._waiting_bytes -= sum(one.size for one in taken)
        return taken

    def _fail(self, taken: Iterable[_Waiting], offered: Iterable[_Offered], error: TransportError) -> None:
        for one in taken:
            one.told(error)
        for other in offered:
            if other in self._offered:
                self._offered.remove(other)
                other.told(error)

    def _tell(self, one: _Waiting, judgement: Judgement) -> None:
        cluster, new = one.transfer.lane.cluster, len(judgement.new)
        self.verdicts[cluster, Word.ACCEPTED.value] += new
        self._broker.counters.accepted += new
        for verdict in judgement.verdicts:
            if verdict is not ACCEPTED:
                self.verdicts[cluster, "undecided" if verdict is None else verdict.word.value] += 1
        self._promises.came(judgement.identities)
        one.told(judgement.verdicts)

    def _answer(self, offered: Iterable[_Offered], known: Collection[bytes]) -> None:
        """Those whose answer is clear; the others wait on."""
        for one in offered:
            if one not in self._offered:
                continue  # asked anew meanwhile
            now = self._now()
            wanted = self._promises.answer(one.offer, known, now, may_wait=now < one.until)
            if wanted is not None:
                self._offered.remove(one)
                if unwanted := wanted.count(False):
                    self.verdicts[one.offer.lane.cluster, Word.UNWANTED.value] += unwanted
                one.told(wanted)

    async def _store(
        self, taken: Sequence[_Waiting], offers: Iterable[Offer]
    ) -> tuple[Sequence[Judgement], Collection[bytes]]:
        """The judgements, true of what is durable, and what is durable of that which is offered. Raises `TransportError`:
        then nobody knows what was stored.
        """
        asked = [one for offer in offers for one in offer.identities]
        if isinstance(self._broker.channel.transport, Remembering):
            return await self._store_and_remember(taken, asked)
        judgements = [await self._store_here(one) for one in taken]
        return judgements, self._memory.known(asked)

    async def _store_and_remember(
        self, taken: Sequence[_Waiting], asked: Sequence[bytes]
    ) -> tuple[Sequence[Judgement], Collection[bytes]]:
        arrival = self._broker.arrival()
        judgements: list[Judgement] = []
        known: set[bytes] = set()

        def choose(memory: Memory) -> Sequence[Event]:
            judgements[:] = [_remembered(one.transfer, one.rules, memory) for one in taken]
            known.clear()
            known.update(memory.known(asked))
            return [
                self._broker.relayed(new.event, arrival) for judgement in judgements for new in judgement.new
            ]

        await self._broker.channel.put_chosen(choose, size=sum(one.size for one in taken))
        return judgements, known

    async def _store_here(self, one: _Waiting) -> Judgement:
        """On a transport that cannot remember: what it took of the new ones is remembered by this process."""
        transfer = one.transfer
        seen = self._memory.lane(transfer.lane)
        judgement = judge(transfer, seen, self._memory.known, one.rules)
        arrival = self._broker.arrival()
        events = [self._broker.relayed(new.event, arrival) for new in judgement.new]
        outcomes = await self._broker.channel.put_each(events)
        ended = {new.identity: error for new, error in zip(judgement.new, outcomes, strict=True) if error}
        judgement = judgement.without(
            {own for own, error in ended.items() if not isinstance(error, EventError)},
            {own: str(error) for own, error in ended.items() if isinstance(error, EventError)},
        )
        self._memory.remember(transfer.lane, judgement.seen(seen), [new.identity for new in judgement.new])
        return judgement


def _remembered(transfer: Transfer, rules: Rules, memory: Memory) -> Judgement:
    """Judge by what the channel remembers, and have it remember what comes of it."""
    name = f"relay {transfer.lane.cluster} {transfer.lane.relay}"
    lanes = Lanes(memory.get(name))
    seen = lanes.of(transfer.lane.epoch)
    judgement = judge(transfer, seen, lambda identities: memory.known(tuple(identities)), rules)
    lanes.put(transfer.lane.epoch, judgement.seen(seen))
    memory.put(name, lanes.stored())
    memory.remember([one.identity for one in judgement.new])
    return judgement
