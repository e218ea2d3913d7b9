"""Seeded bugs that show over any transport, and so over the embedded one. Each function patches this process."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from mesh_gateway.broker.broker import Broker
from mesh_gateway.delivery import attempts, lanes, schedule, trigger, window
from mesh_gateway.delivery.deadletter import DeadLetters
from mesh_gateway.delivery.http import HttpSink
from mesh_gateway.delivery.sink import ACCEPTED, Accepted, Outcome, Refused
from mesh_gateway.filters import index
from mesh_gateway.gateway import reload
from mesh_gateway.transport.embedded.committer import Committer
from mesh_gateway.transport.embedded.cursor import Cursor
from mesh_gateway.wire import text

SLOW = 0.02
"""Seconds that a commit takes on the slow disk of some mutants, so that something is always on its way."""


def settles_up_to_the_highest() -> None:
    """M1: what is finished out of order settles everything before it."""
    settle = Cursor.settle

    def settled(self: Cursor, numbers: Any) -> None:
        numbers = list(numbers)
        settle(self, range(self.watermark + 1, max(numbers, default=self.watermark) + 1))

    Cursor.settle = settled  # type: ignore[method-assign]


def settles_before_the_dead_letter() -> None:
    """M2: a copy is done when its burial has begun."""
    bury = DeadLetters.bury

    def buried(self: DeadLetters, event: Any, *, done: Any, **rest: Any) -> None:
        done("sink")
        bury(self, event, done=lambda where: None, **rest)

    DeadLetters.bury = buried  # type: ignore[method-assign]


def acknowledges_before_the_commit() -> None:
    """M3: 202 as soon as the event has joined a batch; the disk is slow."""
    accept = Broker.accept

    def accepted(self: Broker, events: Any, done: Any) -> None:
        accept(self, events, lambda error: None)
        asyncio.get_running_loop().call_soon(done, None)

    Broker.accept = accepted  # type: ignore[method-assign]
    slow_disk()


def slow_disk() -> None:
    """A commit takes a while."""
    run = Committer.run

    def ran(self: Committer, jobs: Any) -> None:
        time.sleep(SLOW)
        run(self, jobs)

    Committer.run = ran  # type: ignore[method-assign]


def takes_4xx_for_delivered() -> None:
    """M5: what the subscriber refuses counts as delivered."""
    outcome = HttpSink.outcome

    def judged(self: HttpSink, response: Any) -> Outcome:
        found = outcome(self, response)
        return ACCEPTED if isinstance(found, Refused) else found

    HttpSink.outcome = judged  # type: ignore[method-assign]


def settles_when_the_dead_letter_sink_fails() -> None:
    """M6: a dead letter that its sink does not take is given up."""

    def posted(self: DeadLetters, letter: Any, outcome: Outcome) -> None:
        letter.done("sink")

    DeadLetters._posted = posted  # type: ignore[method-assign]


def shares_a_buffer() -> None:
    """M10: the bodies of all requests are written from one buffer."""
    request = HttpSink.request
    buffer = bytearray()

    def requested(self: HttpSink, event: Any) -> bytes:
        made = request(self, event)
        size = len(event.data or b"")
        if size:
            before, buffer[:size] = bytes(buffer[:size]), event.data
            if len(before) == size:
                return made[:-size] + before
        return made

    HttpSink.request = requested  # type: ignore[method-assign]


def remembers_filters_by_type_and_source_alone() -> None:
    """M11: what a filter said of one event it says of every other of that type and source."""
    index._STATIC = frozenset({"type", "source", "pbtier", "pbvip"})


def retries_out_of_order() -> None:
    """M12: what waits for a retry lets those after it pass."""
    again, push = trigger.Trigger._again, lanes.PerKey.push

    def passed(self: trigger.Trigger, copy: Any, wait: float) -> None:
        self._held.lanes.release(copy)
        again(self, copy, wait)

    def resumed(self: lanes.PerKey, copy: Any) -> None:
        push(self, copy)

    trigger.Trigger._again = passed  # type: ignore[method-assign]
    lanes.PerKey.resume = resumed  # type: ignore[method-assign]


def decodes_percent_twice() -> None:
    """M13: `%2541` in a header is an `A`."""
    decode = text.decode

    def decoded(name: str, raw: bytes) -> str:
        return decode(name, decode(name, raw).encode())

    text.decode = decoded


def delivers_after_the_dead_letter() -> None:
    """M14: one more attempt is under way when the copy has been buried."""
    bury = attempts.Attempts._bury

    def buried(self: attempts.Attempts, copy: Any, outcome: Any) -> None:
        bury(self, copy, outcome)
        again = (copy.delivery.event, copy, lambda context, outcome: None)
        asyncio.get_running_loop().call_later(0.3, self.sink.send, *again)

    attempts.Attempts._bury = buried  # type: ignore[method-assign]


def settles_before_the_reply() -> None:
    """M15: a cause is done when the subscriber has answered; its reply is stored half a second later."""

    def accepted(self: attempts.Attempts, copy: Any, outcome: Accepted) -> None:
        self._delivered(copy, outcome.code)
        if outcome.reply is not None:
            reply = (outcome.reply, copy.delivery.event, lambda error: None)
            asyncio.get_running_loop().call_later(0.5, self._replies.accept, *reply)

    attempts.Attempts._accepted = accepted  # type: ignore[method-assign]


def holds_everything_in_memory() -> None:
    """M17: a window without bounds."""
    trigger.Trigger._must_park = lambda self, copy: False  # type: ignore[method-assign]
    window.Held.room = lambda self: 1_000  # type: ignore[method-assign]


def forgets_retries_on_reload() -> None:
    """M8: a reload cancels what triggers have in hand."""
    made: list[Any] = []
    create, run = schedule.Schedule.__init__, reload.Reloader.run

    def created(self: Any, clock: Any, due: Any) -> None:
        create(self, clock, due)
        made.append(self)

    async def ran(self: reload.Reloader) -> None:
        apply = self._apply

        async def applied(spec: Any) -> None:
            await apply(spec)
            for one in made:
                one.clear()

        self._apply = applied
        await run(self)

    schedule.Schedule.__init__ = created  # type: ignore[method-assign]
    reload.Reloader.run = ran  # type: ignore[method-assign]


def swallows_signals_during_a_reload() -> None:
    """M20: who asks while a reload is under way is taken to be served by it; and reloads take a while."""
    once = reload.Reloader._round

    async def swallowed(self: reload.Reloader) -> Any:
        outcome = await once(self)
        await asyncio.sleep(1.0)
        self._asked.clear()
        return outcome

    reload.Reloader._round = swallowed  # type: ignore[method-assign]


def waits_by_the_wall_clock() -> None:
    """M19: retries are due at a moment of the wall clock, which somebody sets back."""

    def add(self: Any, item: Any, seconds: float) -> None:
        due = time.time() + seconds
        loop = asyncio.get_running_loop()

        def look() -> None:
            if time.time() >= due:
                self._due(item)
            else:
                loop.call_later(min(due - time.time(), 1.0), look)

        loop.call_later(seconds, look)

    schedule.Schedule.add = add  # type: ignore[method-assign]
