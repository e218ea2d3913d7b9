"""A trigger: takes copies of events into its bounded window and brings each to a durable end.

    offer ─▶ window full? ──yes──▶ parked channel (then done)          overflow: block holds the reader instead
               │ no
               ▼
             lanes ─▶ sink.send ─▶ 2xx ───────────────────────────────▶ done
                          ▲        2xx with an event ─▶ reply durable ─▶ done
                          │        retriable ─▶ schedule ─┐
                          └──────────────────────────────┘
                                   refused, or tries spent ─▶ dead letter durable ─▶ done

"Done" calls the `finish` that came with the offer, and nothing else does. A copy that has no
durable end when the process stops simply stays unsettled and comes again. All of it runs in
callbacks of one event loop; no event has a task of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from mesh_gateway.delivery.counters import TriggerCounters
from mesh_gateway.delivery.deadletter import DeadLetters
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.insist import Insist
from mesh_gateway.delivery.lanes import Copy, Lanes, PerKey, Unordered
from mesh_gateway.delivery.parking import Parking
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.reply import Accept, Replies
from mesh_gateway.delivery.schedule import Clock, Schedule
from mesh_gateway.delivery.sink import ACCEPTED, Accepted, Outcome, Refused, Retry, Sink
from mesh_gateway.delivery.waiting import marked, unmarked
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import EventError
from mesh_gateway.event import Event
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Delivery

log = structlog.get_logger("mesh_gateway.trigger")

COPY_OVERHEAD = 1_024
"""Bytes counted for an event's attributes and objects beside its data; the measured mean is ~900."""

REFILL_AT = 0.75
"""Parked copies come back when the window has fallen to this part, so that they come in batches."""

Finish = Callable[[Delivery], None]


@dataclass(frozen=True, slots=True)
class Window:
    """How much of a trigger's backlog may be in memory, and what happens to the rest."""

    events: int = 1_000
    bytes: int = 16_777_216
    parallelism: int = 64
    ordered: bool = False
    overflow: Literal["park", "block"] = "park"


class Trigger:
    """One trigger of one broker. `run` has one owner; `offer` is called from the reader's task."""

    def __init__(
        self,
        *,
        key: str,
        broker: str,
        cluster: str,
        sink: Sink,
        dead_letter_sink: Sink | None,
        policy: RetryPolicy,
        window: Window,
        parked: Channel,
        dead_letters: Channel,
        accept: Accept,
        gate: Gate,
        clock: Clock,
        watches: Watches,
        chance: Callable[[], float] = random.random,
        hold_limits: tuple[float, float] = (float("inf"), float("inf")),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self._hold_limit, self._parked_hold_limit = hold_limits
        self._now = now
        self.broker = broker
        self.sink = sink
        self.window = window
        self.counters = TriggerCounters()
        self._policy = policy
        self._clock = clock
        self._watches = watches
        self._chance = chance
        self._gate = gate
        self._lanes: Lanes = PerKey() if window.ordered else Unordered()
        self._retries: Schedule[Copy] = Schedule(clock, self._due)
        self._replies = Replies(accept, clock)
        self._store = Insist(dead_letters.publish, clock)
        self._letters = DeadLetters(
            trigger=key,
            cluster=cluster,
            sink=dead_letter_sink,
            store=self._store,
            policy=policy,
            clock=clock,
            chance=chance,
        )
        self.parking = Parking(
            parked,
            gate=gate,
            take=self._take,
            room=self._room,
            counters=self.counters,
            clock=clock,
        )
        if window.ordered and window.overflow == "park":
            # Until it is known whether older copies are parked, a newer one must not pass them.
            gate.hold(self.parking)
        self._stopping = False
        self._held = 0
        self._held_bytes = 0
        self._sending = 0
        self._ending = 0
        self._idle = asyncio.Event()

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    def offer(self, delivery: Delivery, finish: Finish) -> None:
        """Take one copy; `finish(delivery)` is called once, when the copy has a durable end."""
        self.counters.matched += 1
        data = delivery.event.data
        copy = Copy(delivery, finish, COPY_OVERHEAD + (len(data) if data is not None else 0))
        if self.window.overflow == "park" and self._must_park(copy):
            self._tell(copy, {"event": "ended", "outcome": "parked", "code": None, "attempts": 0})
            self.parking.park(copy)
            return
        copy.limit = self._hold_limit
        self._hold(copy)
        self._pump()

    def _must_park(self, copy: Copy) -> bool:
        window = self.window
        if self._held >= window.events or self._held_bytes + copy.size > max(window.bytes, copy.size):
            return True
        # Order: who comes after a parked copy of this trigger must not overtake it.
        return window.ordered and not self.parking.drained

    def _take(self, delivery: Delivery, finish: Finish) -> None:
        """A parked copy comes back; the reader of the parked channel has asked for room before."""
        data = delivery.event.data
        copy = Copy(delivery, finish, COPY_OVERHEAD + (len(data) if data is not None else 0))
        copy.limit = self._parked_hold_limit
        delivery.event, copy.attempt, wait = unmarked(delivery.event, self._now(), self._policy.backoff_max)
        self._hold(copy, wait)
        self._pump()

    def _room(self) -> int:
        """How many parked copies may come back now."""
        window = self.window
        if self._stopping or self._held_bytes > window.bytes * REFILL_AT:
            return 0
        return 0 if self._held > window.events * REFILL_AT else window.events - self._held

    def _hold(self, copy: Copy, wait: float = 0.0) -> None:
        self._held += 1
        self._held_bytes += copy.size
        copy.since = self._clock.time()
        if wait and not self.window.ordered:
            self._retries.add(copy, wait)
        else:
            self._lanes.push(copy)
        if self.window.overflow == "block" and self._full():
            self._gate.hold(self)

    def _full(self) -> bool:
        return self._held >= self.window.events or self._held_bytes >= self.window.bytes

    # ── attempts ─────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Start as many attempts as parallelism allows."""
        while self._sending < self.window.parallelism and not self._stopping:
            copy = self._lanes.pop()
            if copy is None:
                return
            self._sending += 1
            copy.attempt += 1
            copy.started = self._clock.time()
            self.sink.send(copy.delivery.event, copy, self._ended)

    def _ended(self, copy: Copy, outcome: Outcome) -> None:
        """One attempt is over."""
        self._sending -= 1
        seconds = self._clock.time() - copy.started
        self.counters.duration.observe(seconds)
        if self._watches.by_event:
            self._tell_attempt(copy, outcome, seconds)
        if outcome is ACCEPTED:
            self._delivered(copy, 202)
        elif isinstance(outcome, Accepted):
            self._accepted(copy, outcome)
        elif self._stopping and isinstance(outcome, Retry):
            pass  # no durable end and no more time: it stays unsettled and comes again
        elif isinstance(outcome, Retry) and self._policy.again(copy.attempt):
            self._retry(copy, outcome)
        else:
            self._bury(copy, outcome)
        self._pump()
        if self._stopping:
            self._note_idle()

    def _accepted(self, copy: Copy, outcome: Accepted) -> None:
        if outcome.reply is None:
            self._delivered(copy, outcome.code)
            return
        self._ending += 1

        def ended(error: EventError | None) -> None:
            self._ending -= 1
            if error is None:
                self.counters.replied += 1
                self._delivered(copy, outcome.code)
            else:
                self.counters.reply_refused += 1
                self._bury(copy, Refused(f"reply refused: {error}", outcome.code))
            self._pump()

        self._replies.accept(outcome.reply, copy.delivery.event, ended)

    def _delivered(self, copy: Copy, code: int) -> None:
        self.counters.delivered += 1
        self.counters.failing = False
        if self._watches.by_event:
            self._tell(
                copy, {"event": "ended", "outcome": "delivered", "code": code, "attempts": copy.attempt}
            )
        self._finish(copy)

    def _retry(self, copy: Copy, outcome: Retry) -> None:
        counters = self.counters
        counters.retried += 1
        counters.failed("retry", outcome.code, outcome.why)
        wait = self._policy.wait(copy.attempt, outcome.after, self._chance())
        log.debug("delivery will be retried", trigger=self.key, why=outcome.why, wait=round(wait, 3))
        if self._clock.time() - copy.since + wait > copy.limit and not self.window.ordered:
            self._park_retry(copy, wait)
        else:
            self._retries.add(copy, wait)

    def _park_retry(self, copy: Copy, wait: float) -> None:
        """Its transport would not let it be held that long: it waits in the parked channel, attempts and all.

        Not where order is kept: those after it would overtake it. There it is held, and comes again if it is taken
        away, or holds back the settled position.
        """

        def finish(delivery: Delivery) -> None:
            self._finish(copy)

        event = marked(copy.delivery.event, copy.attempt, self._now() + wait)
        self.parking.park(Copy(copy.delivery, finish, copy.size), event)

    def _due(self, copy: Copy) -> None:
        self._lanes.resume(copy)
        self._pump()

    def _bury(self, copy: Copy, outcome: Retry | Refused) -> None:
        counters = self.counters
        if isinstance(outcome, Refused):
            counters.refused += 1
        counters.failed("refused" if isinstance(outcome, Refused) else "spent", outcome.code, outcome.why)
        self._ending += 1

        def done(where: str) -> None:
            self._ending -= 1
            if where == "sink":
                counters.dead_lettered += 1
            else:
                counters.stored_dead_letters += 1
            self._log_dead_letter(copy, outcome, where)
            self._tell(
                copy,
                {
                    "event": "ended",
                    "outcome": "dead-lettered",
                    "code": outcome.code,
                    "why": outcome.why,
                    "where": where,
                    "attempts": copy.attempt,
                },
            )
            self._finish(copy)
            self._pump()

        self._letters.bury(
            copy.delivery.event,
            address=self.sink.address,
            outcome=outcome,
            attempts=copy.attempt,
            done=done,
        )

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def _finish(self, copy: Copy) -> None:
        """The copy has a durable end: the only place that says so to the reader."""
        self._held -= 1
        self._held_bytes -= copy.size
        self._lanes.release(copy)
        copy.finish(copy.delivery)
        if self.window.overflow == "block" and not self._full():
            self._gate.let(self)
        if not self.parking.drained and self._room() > 0:
            self.parking.resume()
        if self._stopping:
            self._note_idle()

    def _log_dead_letter(self, copy: Copy, outcome: Retry | Refused, where: str) -> None:
        event = copy.delivery.event
        log.warning(
            "event dead-lettered",
            broker=self.broker,
            trigger=self.key,
            event_id=event.id[:128],
            event_type=event.type[:128],
            attempt=copy.attempt,
            code=outcome.code,
            reason=outcome.why,
            where=where,
        )

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Bring parked copies back until cancelled. Raises `TransportError`; may be run again."""
        await self.parking.run()

    def stop(self) -> None:
        """Start no more attempts; those under way may still end."""
        self._stopping = True
        self._retries.clear()
        self.parking.stop()
        self._note_idle()

    async def idle(self) -> None:
        """After `stop`: returns once no attempt, reply or dead letter is under way."""
        await self._idle.wait()

    async def close(self) -> None:
        """After `stop`: end what is still under way without an end, and free connections."""
        self._replies.stop()
        self._store.stop()
        await self.sink.close()
        await self._letters.close()

    def _note_idle(self) -> None:
        if self._sending == 0 and self._ending == 0:
            self._idle.set()

    # ── what can be seen ─────────────────────────────────────────────────────────────────────

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._sending

    @property
    def held(self) -> int:
        """Copies in the window: waiting, in flight, waiting for a retry or for their dead letter."""
        return self._held

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    def _tell_attempt(self, copy: Copy, outcome: Outcome, seconds: float) -> None:
        accepted = isinstance(outcome, Accepted)
        self._tell(
            copy,
            {
                "event": "attempt",
                "outcome": "ok" if accepted else "retry" if isinstance(outcome, Retry) else "refused",
                "code": outcome.code,
                "why": None if isinstance(outcome, Accepted) else outcome.why,
                "ms": round(seconds * 1000, 3),
                "attempt": copy.attempt,
            },
        )

    def _tell(self, copy: Copy, fact: Mapping[str, Any]) -> None:
        if self._watches.by_event:
            event: Event = copy.delivery.event
            self._watches.tell(self.broker, event, {"trigger": self.key, **fact})
