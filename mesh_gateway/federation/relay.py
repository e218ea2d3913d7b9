"""One relay: a group of its own on the source broker, an outbox, and one transfer at a time to its target.

    intake (filter) ─────▶ been there? ─▶ hops spent? ─▶ outbox ─▶ target ─▶ verdicts ─▶ settled
    parked channel ──────────▲                └──────────▶ dead letters ◀─── refused

`intake.py` reads the source, `contact.py` keeps what is known of the target. What has no verdict is unsettled, so an
outage of the target costs disk on the source broker's transport. Where that transport knows no groups, the broker's
shared reader copies what is wanted into the relay's parked channel.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from mesh_gateway.broker.reader import Sifting
from mesh_gateway.delivery.deadletter import DeadLetters
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.insist import Insist
from mesh_gateway.delivery.lanes import Copy
from mesh_gateway.delivery.parking import Parking
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.delivery.sink import Refused
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.federation import via
from mesh_gateway.federation.contact import Contact
from mesh_gateway.federation.counters import RelayCounters
from mesh_gateway.federation.intake import Intake, Wanted
from mesh_gateway.federation.outbox import Backoff, Judged, Outbox
from mesh_gateway.federation.rate import Rate
from mesh_gateway.federation.target import Manner, NotTaken, Target, Unreached
from mesh_gateway.federation.transfer import Lane, Word
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Delivery, Start

log = structlog.get_logger("mesh_gateway.relay")

PROBE_SECONDS = 5.0
"""How often a relay that has nothing to send asks whether its target is still there, so that none is called ready that
has been broken for longer."""

PART_OF_HOLD = 0.5
"""Of the time that a transport lets an event be held: the other half is for giving it back."""

Finish = Callable[[Delivery], None]


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """What the documents say of the way events go."""

    backoff: Backoff
    retry: int
    """Tries more than the first for an event that is not taken while others of its transfer are."""
    rate: float | None = None
    """Events a second; None = as fast as the target takes them."""
    max_hops: int = via.MAX_HOPS


class _Token(NamedTuple):
    delivery: Delivery
    finish: Finish
    since: float


class _HeldTooLong(Exception):
    """What is held has to go back to its transport, before that takes it away."""


class Relay:
    """One relay of one broker. `run` has one owner and may be run again; `offer` is called from the broker's reader."""

    def __init__(
        self,
        *,
        key: str,
        cluster: str,
        source: Channel,
        group: str | None,
        start: Start,
        wanted: Wanted,
        target: Target,
        here: str,
        policy: RelayPolicy,
        parked: Channel,
        letters: DeadLetters,
        store: Insist,
        gate: Gate,
        clock: Clock,
        sieve: Sifting | None = None,
        hold_limit: float = float("inf"),
    ) -> None:
        self.key = key
        self.channel = source
        self.group = group
        """None where the source's transport knows no groups, and the shared reader copies."""
        self.target = target
        self.here = here
        self.counters = RelayCounters()
        self.contact = Contact(key, self.counters, clock)
        self.begun = asyncio.Event()
        """Set once its group exists: from then on it misses nothing."""
        self._cluster = cluster
        self._policy = policy
        self._rate = None if policy.rate is None else Rate(policy.rate)
        self._letters = letters
        self._store = store
        self._clock = clock
        self._hold_limit = hold_limit
        self._wake = asyncio.Event()
        """Set when there is something new to send, or to stop for."""
        self._quiet = asyncio.Event()
        """Set while no transfer is under way."""
        self._quiet.set()
        self._burying = 0
        """Events on their way to the dead letters."""
        self._stopping = False
        self._outbox = self._new_outbox()
        self.parking = Parking(
            parked,
            gate=gate,
            take=self._offer,
            room=self._has_room,
            counters=self.counters,
            clock=clock,
        )
        self._intake: Intake | None = None
        if group is not None:
            self._intake = Intake(
                source,
                group,
                start,
                wanted=wanted,
                sieve=sieve,
                begun=self.begun,
                met=self.contact.met,
                take=self._offer,
                room=self._has_room,
                counters=self.counters,
            )

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Relay until cancelled. Raises `TransportError` of the source; what has no verdict then stays unsettled."""
        while True:
            try:
                await self._session()
            except* _HeldTooLong:
                log.info("held events go back to their source, which will give them again", relay=self.key)

    def stop(self) -> None:
        """Send nothing more; a transfer under way may still end."""
        self._stopping = True
        self.parking.stop()
        self._wake.set()

    async def idle(self) -> None:
        """After `stop`: returns once no transfer is under way."""
        await self._quiet.wait()

    async def close(self) -> None:
        """After `stop`: free connections, give up what is on its way to the dead letters."""
        self._store.stop()
        await self.target.close()
        await self._letters.close()

    async def _session(self) -> None:
        """With one outbox: until the source fails, or what is held must go back."""
        self._outbox = self._new_outbox()
        self._wake.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.parking.run())
            if self._intake is None:
                self.begun.set()
            else:
                tasks.create_task(self._intake.run())
            tasks.create_task(self._send())

    def _new_outbox(self) -> Outbox:
        policy, manner = self._policy, self.contact.manner
        made = Outbox(
            Lane(self._cluster, self.key, uuid.uuid4().hex[:16]),
            self.here,
            backoff=policy.backoff,
            retry=policy.retry,
            rate=self._rate,
        )
        if manner is not None:
            made.bound(manner.most_events, manner.most_bytes)
        return made

    # ── in ───────────────────────────────────────────────────────────────────────────────────

    def offer(self, delivery: Delivery, finish: Finish) -> None:
        """From the broker's shared reader, where there are no groups: copy into the relay's own channel."""
        self.parking.park(Copy(delivery, finish, 0))

    def _has_room(self) -> int:
        if self._stopping or not self.contact.met.is_set():
            return 0
        return self._outbox.room - self._burying

    def _offer(self, delivery: Delivery, finish: Finish) -> None:
        """Into the outbox, unless the target has logged it already or it may cross no further link."""
        event = delivery.event
        token = _Token(delivery, finish, self._clock.time())
        manner = self.contact.manner
        if manner is not None and manner.place in via.logged_by(event):
            self.counters.skipped += 1
            finish(delivery)
            return
        try:
            crossed = via.hops(event)
            if crossed >= self._policy.max_hops:
                why = f"it has crossed {crossed} links between gateways, the limit is {self._policy.max_hops}"
                self._bury(token, "hops", Refused(why))
                return
            self._outbox.offer(event, token)
        except InvalidEvent as error:
            self._bury(token, "hops", Refused(str(error)))
            return
        self._wake.set()

    # ── out ──────────────────────────────────────────────────────────────────────────────────

    async def _send(self) -> None:
        while True:
            await self._meet()
            try:
                while True:
                    await self._something_to_do()
                    await self._transfer()
            except Unreached as error:
                self.contact.away(self.target, error)
                self._give_back_in_time()

    async def _meet(self) -> None:
        """Until the target has said how it takes events."""
        while True:
            try:
                manner = await self.target.meet()
            except Unreached as error:
                self.contact.away(self.target, error)
                self._give_back_in_time()
                await asyncio.sleep(self._policy.backoff.wait(self.contact.failures, error.after))
            else:
                break
        self._greeted(manner)
        self.contact.met.set()
        self._made_room()

    def _greeted(self, manner: Manner) -> None:
        """Make ready for the target's manner, if that is another than before."""
        if manner != self.contact.manner:
            self._outbox.bound(manner.most_events, manner.most_bytes)
            if manner.place is not None:  # what was read while it was not known who is there
                for token in self._outbox.withdraw(manner.place):
                    self.counters.skipped += 1
                    token.finish(token.delivery)
        self.contact.greeted(self.target, manner)

    async def _something_to_do(self) -> None:
        """Returns when a transfer is due. Asks now and then whether the target is still there. Raises `Unreached`."""
        while True:
            if self._stopping:
                await asyncio.Event().wait()  # until the owner cancels
            self._give_back_in_time()
            due = self._outbox.due(self._clock.time())
            if due == 0.0:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(PROBE_SECONDS if due is None else min(due, PROBE_SECONDS)):
                    await self._wake.wait()
            except TimeoutError:
                if due is None:
                    self.contact.failing = False  # there is nothing left that could not be sent
                    self._greeted(await self.target.meet())

    async def _transfer(self) -> None:
        """One transfer and what its verdicts mean. Raises `Unreached`."""
        transfer = self._outbox.next(self._clock.time())
        if transfer is None:
            return
        self._quiet.clear()
        try:
            verdicts = await self.target.send(transfer)
            if not any(verdicts):
                raise Unreached("unavailable", "the receiver could store none of the events")
        except NotTaken as error:
            judged = self._outbox.not_taken(str(error))
        except Unreached as error:
            self.contact.failing = True
            self._outbox.failed(self._clock.time(), error.after)
            raise
        else:
            self.counters.transfers += 1
            self.contact.failing = False
            self.contact.answered()
            judged = self._outbox.answered(verdicts, self._clock.time())
        finally:
            self._quiet.set()
        for one in judged:
            self._end(one)
        self._made_room()

    def _give_back_in_time(self) -> None:
        """Raises `_HeldTooLong` when the source would soon take away what is held."""
        oldest = self._outbox.first
        if oldest is not None and self._clock.time() - oldest.since > self._hold_limit * PART_OF_HOLD:
            raise _HeldTooLong

    def _made_room(self) -> None:
        if self._has_room() > 0:
            if self._intake is not None:
                self._intake.resume()
            self.parking.resume()

    # ── ends ─────────────────────────────────────────────────────────────────────────────────

    def _end(self, judged: Judged) -> None:
        """The event has its verdict: settled, or first durably with the dead letters."""
        token, verdict = judged.token, judged.verdict
        if verdict.word is Word.REFUSED:
            refused = Refused(verdict.why, verdict.code, verdict.body)
            self._bury(token, verdict.word.value, refused, judged.attempts)
            return
        self.counters.verdicts[verdict.word.value] += 1
        token.finish(token.delivery)

    def _bury(self, token: _Token, word: str, refused: Refused, attempts: int = 0) -> None:
        """To the dead letters, counted under `word`; settled once it is durable there."""
        self.counters.verdicts[word] += 1
        self._burying += 1

        def done(where: str) -> None:
            self._burying -= 1
            self.counters.dead_lettered += 1
            event = token.delivery.event
            log.warning(
                "event dead-lettered", relay=self.key, event_id=event.id[:128], event_type=event.type[:128],
                reason=refused.why, where=where,
            )  # fmt: skip
            token.finish(token.delivery)
            self._made_room()

        self._letters.bury(
            token.delivery.event,
            address=self.target.address,
            outcome=refused,
            attempts=attempts,
            done=done,
        )

    # ── what can be seen ─────────────────────────────────────────────────────────────────────

    @property
    def held(self) -> int:
        """Events taken from the source that have no end yet."""
        return self._outbox.held + self._burying
