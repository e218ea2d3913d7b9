"""Attempts: as many under way at once as a trigger allows, and what the outcome of each means for its copy.

    next ─▶ sink.send ─▶ 2xx ───────────────────────────────▶ finished
                 ▲       2xx with an event ─▶ reply durable ─▶ finished
                 │       retriable ─▶ again ─┐
                 └───────────────────────────┘
                         refused, or tries spent ─▶ dead letter durable ─▶ finished

Which copy is next, where one waits to be tried again, and what finishing one does is the trigger's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from mesh_gateway.delivery.counters import TriggerCounters
from mesh_gateway.delivery.deadletter import DeadLetters
from mesh_gateway.delivery.facts import Facts
from mesh_gateway.delivery.lanes import Copy
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.replaced import Outlet, Replaced
from mesh_gateway.delivery.reply import Replies
from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.delivery.sink import ACCEPTED, Accepted, Outcome, Refused, Retry, Sink
from mesh_gateway.errors import EventError

log = structlog.get_logger("mesh_gateway.trigger")


class Attempts:
    """Those of one trigger.

    `pump` begins as many as may be under way, each with the copy that `take()` gives, until it gives None. A copy that
    has a durable end is given to `finish(copy)`, one that failed and may be tried again to `again(copy, wait)`; both may
    pump. A copy that goes to neither has no durable end, and stays unsettled.
    """

    def __init__(
        self,
        *,
        key: str,
        sink: Sink,
        policy: RetryPolicy,
        parallelism: int,
        replies: Replies,
        letters: DeadLetters,
        counters: TriggerCounters,
        facts: Facts,
        clock: Clock,
        chance: Callable[[], float],
        take: Callable[[], Copy | None],
        again: Callable[[Copy, float], None],
        finish: Callable[[Copy], None],
    ) -> None:
        self._key = key
        self.sink = sink
        self._outlet = Outlet(sink)
        self._policy = policy
        self._parallelism = parallelism
        self._replies = replies
        self._letters = letters
        self._counters = counters
        self._facts = facts
        self._clock = clock
        self._chance = chance
        self._take = take
        self._again = again
        self._finish = finish
        self.under_way = 0
        self._ending = 0
        """Copies whose attempts are over, and whose reply or dead letter is not durable yet."""
        self.stopped = False
        self._leaving = self._was_cut = False
        self._idle = asyncio.Event()

    # ── begin and end ────────────────────────────────────────────────────────────────────────

    def pump(self) -> None:
        """Begin as many attempts as may be under way at once."""
        if self._leaving:
            self._give_up_waiting()
            return
        while self.under_way < self._parallelism and not self.stopped:
            copy = self._take()
            if copy is None:
                return
            self.under_way += 1
            copy.attempt += 1
            copy.started = self._clock.time()
            copy.sink = self.sink
            self.sink.send(copy.delivery.event, copy, self._ended)

    def _ended(self, copy: Copy, outcome: Outcome) -> None:
        """One attempt is over."""
        self.under_way -= 1
        if copy.sink is not self.sink:
            self._outlet.ended(copy.sink)
        seconds = self._clock.time() - copy.started
        self._counters.duration.observe(seconds)
        if self._facts.followed:
            self._facts.attempted(copy, outcome, seconds)
        if outcome is ACCEPTED:
            self._delivered(copy, 202)
        elif isinstance(outcome, Accepted):
            self._accepted(copy, outcome)
        elif self.stopped and isinstance(outcome, Retry):
            pass  # no durable end and no more time: it stays unsettled and comes again
        elif self._was_cut and isinstance(outcome, Retry):
            copy.attempt -= 1
            self._again(copy, 0.0)
        elif isinstance(outcome, Retry) and self._policy.again(copy.attempt):
            self._retry(copy, outcome)
        else:
            self._bury(copy, outcome)
        self.pump()
        if self.stopped:
            self._note_idle()

    # ── what an outcome means ────────────────────────────────────────────────────────────────

    def _delivered(self, copy: Copy, code: int) -> None:
        self._counters.delivered += 1
        self._counters.failing = False
        if self._facts.followed:
            self._facts.delivered(copy, code)
        self._finish(copy)

    def _accepted(self, copy: Copy, outcome: Accepted) -> None:
        if outcome.reply is None:
            self._delivered(copy, outcome.code)
            return
        self._ending += 1
        self._replies.accept(outcome.reply, copy.delivery.event, partial(self._replied, copy, outcome.code))

    def _replied(self, copy: Copy, code: int, error: EventError | None) -> None:
        """The reply is durable, or refused for good."""
        self._ending -= 1
        if error is None:
            self._counters.replied += 1
            self._delivered(copy, code)
        else:
            self._counters.reply_refused += 1
            self._bury(copy, Refused(f"reply refused: {error}", code))
        self.pump()
        if self.stopped:
            self._note_idle()

    def _retry(self, copy: Copy, outcome: Retry) -> None:
        counters = self._counters
        counters.retried += 1
        counters.failed("retry", outcome.code, outcome.why)
        wait = self._policy.wait(copy.attempt, outcome.after, self._chance())
        log.debug("delivery will be retried", trigger=self._key, why=outcome.why, wait=round(wait, 3))
        self._again(copy, wait)

    def _bury(self, copy: Copy, outcome: Retry | Refused) -> None:
        counters = self._counters
        if isinstance(outcome, Refused):
            counters.refused += 1
        counters.failed("refused" if isinstance(outcome, Refused) else "spent", outcome.code, outcome.why)
        self._ending += 1
        self._letters.bury(
            copy.delivery.event,
            address=(copy.sink or self.sink).address,
            outcome=outcome,
            attempts=copy.attempt,
            done=partial(self._buried, copy, outcome),
        )

    def _buried(self, copy: Copy, outcome: Retry | Refused, where: str) -> None:
        """The dead letter is durable."""
        self._ending -= 1
        if where == "sink":
            self._counters.dead_lettered += 1
        else:
            self._counters.stored_dead_letters += 1
        self._facts.dead_lettered(copy, outcome, where)
        self._finish(copy)
        self.pump()
        if self.stopped:
            self._note_idle()

    # ── other settings, and leaving ──────────────────────────────────────────────────────────

    def adopt(self, policy: RetryPolicy, parallelism: int) -> None:
        """Go by these from now on; the owner pumps."""
        self._policy = policy
        self._parallelism = parallelism

    def replace_sink(self, sink: Sink) -> Replaced | None:
        """Begin attempts at `sink` from now on. What is under way ends at the old one, which is given back to be closed."""
        self.sink = sink
        return self._outlet.replace(sink, self.under_way)

    def leave(self) -> None:
        """Begin no more: whatever `take` gives is for `again` to put away. Those under way end as ever."""
        self._leaving = True

    async def cut(self) -> None:
        """After `leave`: wait no longer for those under way; they end without an answer, and count for nothing."""
        self._was_cut = True
        await self._outlet.cut()

    def _give_up_waiting(self) -> None:
        while (copy := self._take()) is not None:
            self._again(copy, 0.0)

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Begin no more; those under way may still end."""
        self.stopped = True
        self._note_idle()

    async def idle(self) -> None:
        """After `stop`: returns once no attempt, reply or dead letter is under way."""
        await self._idle.wait()

    async def close(self) -> None:
        """After `stop`: end what is under way without an end, and free connections."""
        self._replies.stop()
        await self.sink.close()
        await self._letters.close()

    def _note_idle(self) -> None:
        if self.under_way == 0 and self._ending == 0:
            self._idle.set()
