"""One relay: a group of its own on the source broker, an outbox, and one transfer at a time to its target.

    intake (filter) ─────▶ been there? ─▶ hops spent? ─▶ outbox ─▶ target ─▶ verdicts ─▶ settled
    parked channel ──────────▲                └──────────▶ dead letters ◀─── refused

`intake.py` reads the source, `sender.py` sends, `contact.py` keeps what is known of the target. What has no verdict is
unsettled, so an outage of the target costs disk on the source broker's transport. Where that transport knows no groups,
the broker's shared reader copies what is wanted into the relay's parked channel.
"""

from __future__ import annotations

import asyncio

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
from mesh_gateway.federation.outbox import Judged
from mesh_gateway.federation.sender import Finish, HeldTooLong, RelayPolicy, Sender, Token
from mesh_gateway.federation.target import Target
from mesh_gateway.federation.transfer import Word
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Delivery, Start

log = structlog.get_logger("mesh_gateway.relay")


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
        self.here = here
        self.counters = RelayCounters()
        self.contact = Contact(key, self.counters, clock)
        self.begun = asyncio.Event()
        """Set once its group exists: from then on it misses nothing."""
        self._max_hops = policy.max_hops
        self._letters = letters
        self._store = store
        self._clock = clock
        self._burying = 0
        """Events on their way to the dead letters."""
        self._buried = asyncio.Event()
        """Set while there are none."""
        self._buried.set()
        self._sender = Sender(
            lane=(cluster, key),
            here=here,
            target=target,
            contact=self.contact,
            policy=policy,
            counters=self.counters,
            clock=clock,
            hold_limit=hold_limit,
            ended=self._end,
            skipped=self._skip,
            made_room=self._made_room,
        )
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
            await self._session()

    def stop(self) -> None:
        """Send nothing more; a transfer under way may still end."""
        self._sender.stop()
        self.parking.stop()

    async def idle(self) -> None:
        """After `stop`: returns once no transfer is under way, and what it had refused is durable as a dead letter."""
        await self._sender.idle()
        await self._buried.wait()

    async def close(self) -> None:
        """After `stop`: free connections, give up what is on its way to the dead letters."""
        self._store.stop()
        await self.target.close()
        await self._letters.close()

    async def _session(self) -> None:
        """With one outbox: until the source fails, or what is held must go back."""
        self._sender.begin()
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(self.parking.run())]
            if self._intake is None:
                self.begun.set()
            else:
                reading.append(tasks.create_task(self._intake.run()))
            try:
                await self._sender.run()
            except HeldTooLong:
                # Not an error of the group: while one ends of an error it hears of no cancellation (before Python 3.13).
                log.info("held events go back to their source, which will give them again", relay=self.key)
                for one in reading:
                    one.cancel()

    # ── in ───────────────────────────────────────────────────────────────────────────────────

    def offer(self, delivery: Delivery, finish: Finish) -> None:
        """From the broker's shared reader, where there are no groups: copy into the relay's own channel."""
        self.parking.park(Copy(delivery, finish, 0))

    def _has_room(self) -> int:
        if self._sender.stopped or not self.contact.met.is_set():
            return 0
        return self._sender.outbox.room - self._burying

    def _made_room(self) -> None:
        if self._has_room() > 0:
            if self._intake is not None:
                self._intake.resume()
            self.parking.resume()

    def _offer(self, delivery: Delivery, finish: Finish) -> None:
        """Into the outbox, unless the target has logged it already or it may cross no further link."""
        event = delivery.event
        token = Token(delivery, finish, self._clock.time())
        manner = self.contact.manner
        if manner is not None and manner.place in via.logged_by(event):
            self._skip(token)
            return
        try:
            crossed = via.hops(event)
            if crossed >= self._max_hops:
                why = f"it has crossed {crossed} links between gateways, the limit is {self._max_hops}"
                self._bury(token, "hops", Refused(why))
                return
            self._sender.outbox.offer(event, token)
        except InvalidEvent as error:
            self._bury(token, "hops", Refused(str(error)))
            return
        self._sender.wake.set()

    # ── ends ─────────────────────────────────────────────────────────────────────────────────

    def _skip(self, token: Token) -> None:
        """The target has logged it already."""
        self.counters.skipped += 1
        token.finish(token.delivery)

    def _end(self, judged: Judged) -> None:
        """The event has its verdict: settled, or first durably with the dead letters."""
        token, verdict = judged.token, judged.verdict
        if verdict.word is Word.REFUSED:
            refused = Refused(verdict.why, verdict.code, verdict.body)
            self._bury(token, verdict.word.value, refused, judged.attempts)
            return
        self.counters.verdicts[verdict.word.value] += 1
        token.finish(token.delivery)

    def _bury(self, token: Token, word: str, refused: Refused, attempts: int = 0) -> None:
        """To the dead letters, counted under `word`; settled once it is durable there."""
        self.counters.verdicts[word] += 1
        self._burying += 1
        self._buried.clear()

        def done(where: str) -> None:
            self._burying -= 1
            if self._burying == 0:
                self._buried.set()
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
    def target(self) -> Target:
        """Where its events go."""
        return self._sender.target

    @property
    def held(self) -> int:
        """Events taken from the source that have no end yet."""
        return self._sender.outbox.held + self._burying
