"""The sender's side of one relay: numbered events on their way to a verdict, one transfer at a time.

    offer ─▶ waiting ─▶ next ─▶ under way ─▶ answered ─▶ each event ends, or is refused
                ▲                   └─ failed ─▶ waits, then the same events under the same numbers
                └───────────────────────────────┘

One transfer at a time keeps the order of the log; with 500 events in each it is the link's round trip that bounds the
rate (10,000 a second at 50 ms). What is not taken in stays in the source broker's log: an outage of hours costs disk
there, and no memory here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mesh_gateway.delivery.policy import JITTER
from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.rate import Rate
from mesh_gateway.federation.transfer import ACCEPTED, Lane, Numbered, Transfer, Verdict, Word

MOST_EVENTS, MOST_BYTES = 500, 1_048_576
"""Of one transfer: beyond them the fixed cost of a request (some 60 µs on each side) is under 0.2 µs an event."""

WINDOW = 4 * MOST_EVENTS
"""Events held at once: the transfer under way, and enough to fill the next ones while the log is read."""


@dataclass(slots=True)
class Held:
    """One event that has no verdict yet. `token` is the caller's: what it settles when the event has ended."""

    numbered: Numbered
    token: Any
    size: int
    failures: int = 0
    """Transfers that brought verdicts for others, and none for this one."""


class Judged(NamedTuple):
    """An event whose verdict has come."""

    token: Any
    event: Event
    verdict: Verdict
    attempts: int
    """Transfers that it was in and that brought verdicts."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a transfer that got no verdicts: the receiver is away, and everything waits alike."""

    first: float = 0.2
    longest: float = 60.0
    longest_asked: float = 600.0
    """A receiver's own wish is honoured up to here: one that asks for a year must not stop the relay for a year."""
    chance: Callable[[], float] = lambda: 0.5
    """In [0, 1): places the jitter. As it is here there is none."""

    def wait(self, failures: int, after: float | None = None) -> float:
        """Seconds after that many failures in a row. `after`: those that the receiver asked to wait."""
        wait = min(self.first * 2.0 ** min(failures - 1, 32), self.longest)
        wait *= 1 - JITTER + 2 * JITTER * self.chance()
        return wait if after is None else max(wait, min(after, self.longest_asked))


class Outbox:
    """Pure: nobody else's clock, no I/O. The caller sends what `next` gives and tells how it ended."""

    def __init__(
        self,
        lane: Lane,
        here: str,
        *,
        backoff: Backoff | None = None,
        retry: int | None = None,
        rate: Rate | None = None,
        most_events: int = MOST_EVENTS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.lane, self.here = lane, here
        self.failures = 0
        """Transfers in a row that got no verdicts."""
        self._backoff = backoff or Backoff()
        self._retry = retry
        self._rate = rate
        self._last = 0
        self._waiting: deque[Held] = deque()
        self._under_way: tuple[Held, ...] = ()
        self._not_before = 0.0
        self.bound(most_events, most_bytes)

    def bound(self, most_events: int, most_bytes: int) -> None:
        """What the receiver takes in one transfer, from the next on."""
        self._most_events, self._most_bytes = min(most_events, MOST_EVENTS), min(most_bytes, MOST_BYTES)
        self._next_events = self._most_events

    @property
    def held(self) -> int:
        """Events without a verdict."""
        return len(self._waiting) + len(self._under_way)

    @property
    def first(self) -> Any:
        """The token of the event that is held longest; None when none is."""
        held = self._under_way or self._waiting
        return held[0].token if held else None

    @property
    def room(self) -> int:
        """How many more events may be offered."""
        return max(0, WINDOW - self.held)

    def offer(self, event: Event, token: Any) -> None:
        """Take in an event of the log. Raises `InvalidEvent` if it is marked in a way that cannot be read."""
        crossing = via.crossing(event, self.here)
        self._last += 1
        size = len(event.data or b"") + sum(map(len, crossing.attributes.values()))
        self._waiting.append(Held(Numbered(self._last, crossing), token, size))

    def withdraw(self, place: str) -> list[Any]:
        """Take out what waits and what `place` has logged; the tokens. These numbers are never sent: a later floor
        tells that they have ended.
        """
        back = [one for one in self._waiting if place in via.logged_by(one.numbered.event)]
        if back:
            gone = {one.numbered.number for one in back}
            self._waiting = deque(one for one in self._waiting if one.numbered.number not in gone)
        return [one.token for one in back]

    def due(self, now: float) -> float | None:
        """Seconds until `next` has something to send; None while a transfer is under way, or there is nothing."""
        if self._under_way or not self._waiting:
            return None
        allowed = 0.0 if self._rate is None else self._rate.wait(now)
        return max(0.0, self._not_before - now, allowed)

    def next(self, now: float) -> Transfer | None:
        """The next transfer, from now on under way; None when it is not due."""
        if self.due(now) != 0.0:
            return None
        most = self._next_events
        if self._rate is not None:
            most = min(most, self._rate.allowed(now))
        taken: list[Held] = []
        size = 0
        while self._waiting and len(taken) < most:
            if taken and size + self._waiting[0].size > self._most_bytes:
                break
            taken.append(self._waiting.popleft())
            size += taken[-1].size
        if self._rate is not None:
            self._rate.spend(len(taken))
        self._under_way = tuple(taken)
        floor = taken[0].numbered.number - 1
        return Transfer(self.lane, floor, tuple(one.numbered for one in taken))

    def answered(self, verdicts: Sequence[Verdict | None], now: float) -> list[Judged]:
        """The transfer under way got these verdicts, one for each event in order; those that have one have ended.

        The others wait again, before all that come later: so the numbers below the first of the next transfer have
        ended, which is what its `floor` says. An event that has none again and again, while others are stored, is
        given up after `retry` tries more than the first: it is no fault of the link or of the receiver's store.
        """
        if not any(verdicts):
            self.failed(now)
            return []
        held, self._under_way = self._under_way, ()
        self._next_events = self._most_events
        stored = ACCEPTED in verdicts
        ended: list[Judged] = []
        again: list[Held] = []
        for one, verdict in zip(held, verdicts, strict=True):
            final = verdict or (self._given_up(one) if stored else None)
            if final is None:
                again.append(one)
            else:
                ended.append(
                    Judged(one.token, one.numbered.event, final, one.failures + (verdict is not None))
                )
        self._again(again)
        self.failures = self.failures + 1 if again and not stored else 0
        self._not_before = now + self._backoff.wait(max(1, self.failures)) if again else 0.0
        return ended

    def failed(self, now: float, after: float | None = None) -> None:
        """The transfer under way got no verdicts: nobody knows what was stored, so all of it goes again, later.

        `after`: seconds that the receiver asked to wait.
        """
        self._again(self._under_way)
        self._under_way = ()
        self.failures += 1
        self._not_before = now + self._backoff.wait(self.failures, after)

    def not_taken(self, why: str) -> list[Judged]:
        """The receiver does not take this transfer: half of it goes next, so that one event that it cannot take does
        not hold up all others. A single event can never go.
        """
        held, self._under_way = self._under_way, ()
        if len(held) == 1:
            refused = Verdict(Word.REFUSED, f"the receiver does not take this event: {why}")
            return [Judged(held[0].token, held[0].numbered.event, refused, held[0].failures + 1)]
        self._next_events = len(held) // 2
        self._again(held)
        return []

    def _again(self, held: Iterable[Held]) -> None:
        self._waiting.extendleft(reversed(tuple(held)))

    def _given_up(self, one: Held) -> Verdict | None:
        one.failures += 1
        if self._retry is None or one.failures <= self._retry:
            return None
        return Verdict(Word.REFUSED, f"not taken {one.failures} times, while others were")
