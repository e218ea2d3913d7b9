"""A trigger: takes copies of events into its bounded window and brings each to a durable end.

    offer ─▶ window full? ──yes──▶ parked channel (then done)          overflow: block holds the reader instead
               │ no                       │ there is room again
               ▼                          │
             lanes ◀──────────────────────┘
               │ next            ▲ due
               ▼                 │
             attempts ─▶ again ─▶ schedule, or the parked channel where it may not be held that long
               └───────▶ done

What an attempt's outcome means is in `attempts.py`. "Done" calls the `finish` that came with the offer, and nothing
else does. A copy that has no durable end when the process stops simply stays unsettled and comes again. All of it runs
in callbacks of one event loop; no event has a task of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from mesh_gateway.delivery.attempts import Attempts
from mesh_gateway.delivery.counters import TriggerCounters
from mesh_gateway.delivery.deadletter import DeadLetters
from mesh_gateway.delivery.facts import Facts
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.insist import Insist
from mesh_gateway.delivery.lanes import Copy
from mesh_gateway.delivery.parking import Parking
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.replaced import Replaced
from mesh_gateway.delivery.reply import Accept, Replies
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.delivery.sink import Sink
from mesh_gateway.delivery.twins import Twins
from mesh_gateway.delivery.waiting import marked, unmarked
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.delivery.window import COPY_OVERHEAD, Held, Window
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import Delivery

Finish = Callable[[Delivery], None]


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
        counters: TriggerCounters | None = None,
    ) -> None:
        self.key = key
        self.broker = broker
        self.counters = counters or TriggerCounters()
        self.gate = gate
        self._hold_limit, self._parked_hold_limit = hold_limits
        self._policy = policy
        self._clock = clock
        self._now = now
        self._facts = Facts(key, broker, watches)
        self.parking = Parking(
            parked,
            gate=gate,
            take=self._take,
            room=self._room,
            counters=self.counters,
            clock=clock,
            ordered=window.ordered,
            # Where new ones are parked, it is behind the old ones; else only what the reader is receiving already.
            first=window.ordered and window.overflow == "block",
        )
        self._twins = Twins(self.parking.park, self._lies_parked)
        self._held = Held(window, gate=gate, parking=self.parking, clock=clock, due=self._due)
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
        self._attempts = Attempts(
            key=key,
            sink=sink,
            policy=policy,
            parallelism=window.parallelism,
            replies=Replies(accept, clock),
            letters=self._letters,
            counters=self.counters,
            facts=self._facts,
            clock=clock,
            chance=chance,
            take=self._held.lanes.pop,
            again=self._again,
            finish=self._finish,
        )

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    def offer(self, delivery: Delivery, finish: Finish) -> None:
        """Take one copy; `finish(delivery)` is called once, when the copy has a durable end."""
        self.counters.matched += 1
        data = delivery.event.data
        copy = Copy(delivery, finish, COPY_OVERHEAD + (len(data) if data is not None else 0))
        if self._must_park(copy):
            if self._facts.followed:
                self._facts.parked(copy)
            self._park_those_before(copy)
            self.parking.park(copy)
            return
        copy.limit = self._hold_limit
        self._held.add(copy)
        self._attempts.pump()

    def _must_park(self, copy: Copy) -> bool:
        held = self._held
        window = held.window
        # Order: who comes after a parked copy of this trigger must not overtake it.
        if window.ordered and not self.parking.drained:
            return True
        if window.overflow == "block":
            return False
        return held.copies >= window.events or held.bytes + copy.size > max(window.bytes, copy.size)

    def _park_those_before(self, copy: Copy) -> None:
        """What must not be overtaken by a parked copy has to lie in the parked channel before it."""
        # Each is asked: a redriven copy lies there, and those before it need not.
        older = [one for one in self._held.lanes.before(copy) if not one.lies_parked]
        for one in reversed(older):
            self._twins.park(one)

    def _take(self, delivery: Delivery, finish: Finish) -> None:
        """A parked copy comes back; the reader of the parked channel has asked for room before."""
        if self._twins.came(delivery, finish):
            return
        data = delivery.event.data
        copy = Copy(delivery, finish, COPY_OVERHEAD + (len(data) if data is not None else 0))
        copy.limit = self._parked_hold_limit
        copy.was_parked = True
        delivery.event, copy.attempt, wait = unmarked(delivery.event, self._now(), self._policy.backoff_max)
        self._held.add(copy, wait)
        self._attempts.pump()

    def _room(self) -> int:
        """How many parked copies may come back now."""
        return self._held.room()

    # ── what waits to be tried again ─────────────────────────────────────────────────────────

    def _again(self, copy: Copy, wait: float) -> None:
        """The copy is due for another attempt in `wait` seconds."""
        held_too_long = self._clock.time() - copy.since + wait > copy.limit and not self._held.window.ordered
        if held_too_long or self._held.leaving:
            self._park_retry(copy, wait)
        else:
            self._held.retries.add(copy, wait)

    def _park_retry(self, copy: Copy, wait: float) -> None:
        """Its transport would not let it be held that long, or the trigger goes: it waits in the parked channel,
        attempts and all.

        Not where order is kept, unless the trigger goes: those after it would overtake it. There it is held, and
        comes again if it is taken away, or holds back the settled position. And when the trigger goes, what lies parked
        already stays there in its place, at the price that its attempts are counted anew.
        """
        if self._held.window.ordered and copy.lies_parked:
            self._leave_parked(copy)
            return
        event = marked(copy.delivery.event, copy.attempt, self._now() + wait)
        self.parking.park(Copy(copy.delivery, partial(self._retry_is_parked, copy), copy.size), event)

    def _retry_is_parked(self, copy: Copy, _: Delivery) -> None:
        self._finish(copy)
        if self._held.leaving:
            self._attempts.pump()  # the next of its key

    def _due(self, copy: Copy) -> None:
        self._held.lanes.resume(copy)
        self._attempts.pump()

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def _finish(self, copy: Copy) -> None:
        """The copy has a durable end: the only place that says so to the reader."""
        copy.finish(copy.delivery)
        if copy.twin is not None:
            self._twins.ended(copy.twin)
        self._held.release(copy)

    # ── other settings, and leaving ──────────────────────────────────────────────────────────

    def adopt(self, policy: RetryPolicy, window: Window) -> None:
        """Go by these from now on; order and overflow stay. Nothing is interrupted."""
        self._policy = policy
        self._held.adopt(window)
        self._letters.adopt(policy)
        self._attempts.adopt(policy, window.parallelism)
        self._attempts.pump()

    def replace_sink(self, sink: Sink) -> Replaced | None:
        """Start attempts at `sink` from now on, also of what waits for a retry. What is under way ends at the old one,
        which is given back to be closed.
        """
        return self._attempts.replace_sink(sink)

    def replace_dead_letter_sink(self, sink: Sink | None) -> Replaced | None:
        """The same for dead letters."""
        return self._letters.replace(sink)

    def leave(self) -> None:
        """Nobody offers any more: attempts under way end, and all else goes to the parked channel, to wait there for
        a trigger of this name. A copy's attempts are counted on.
        """
        self._held.leave()
        self._attempts.leave()
        self.parking.leave()
        for wait, copy in self._held.retries.take():
            self._park_retry(copy, wait)
        self._attempts.pump()

    async def left(self) -> None:
        """After `leave`: returns once every copy has a durable end, or lies parked, also those that were on their way
        there before.
        """
        await self._held.left()
        await self.parking.arrived()

    async def cut(self) -> None:
        """After `leave`: wait no longer for attempts under way; they end without an answer, count for nothing, and are
        parked as well.
        """
        await self._attempts.cut()

    def _leave_parked(self, copy: Copy) -> None:
        """The trigger goes; the copy comes again from the parked channel, at once or as soon as its twin is durable."""
        if copy.was_parked:
            self._held.release(copy)
        else:
            self._twins.release_when_durable(copy)

    def _lies_parked(self, copy: Copy) -> None:
        """Its twin is durable now."""
        self._held.release(copy)
        self._attempts.pump()  # the next of its key

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Bring parked copies back until cancelled. Raises `TransportError`; may be run again."""
        await self.parking.run()

    def stop(self) -> None:
        """Start no more attempts; those under way may still end."""
        self._attempts.stop()
        self._held.stop()
        self.parking.stop()

    async def idle(self) -> None:
        """After `stop`: returns once no attempt, reply or dead letter is under way."""
        await self._attempts.idle()

    async def close(self) -> None:
        """After `stop`: end what is still under way without an end, and free connections."""
        self._store.stop()
        await self._attempts.close()

    # ── what can be seen ─────────────────────────────────────────────────────────────────────

    @property
    def sink(self) -> Sink:
        """Where attempts begin now."""
        return self._attempts.sink

    @property
    def window(self) -> Window:
        """The settings of now."""
        return self._held.window

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._attempts.under_way

    @property
    def held(self) -> int:
        """Copies in the window: waiting, in flight, waiting for a retry or for their dead letter."""
        return self._held.copies

    @property
    def held_bytes(self) -> int:
        return self._held.bytes
