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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.transfer import Lane, Numbered, Transfer, Verdict

MOST_EVENTS, MOST_BYTES = 500, 1_048_576
"""Of one transfer: beyond them the fixed cost of a request (some 60 µs on each side) is under 0.2 µs an event."""

WINDOW = 4 * MOST_EVENTS
"""Events held at once: the transfer under way, and enough to fill the next ones while the log is read."""


class Held(NamedTuple):
    """One event that has no verdict yet. `token` is the caller's: what it settles when the event has ended."""

    numbered: Numbered
    token: Any
    size: int


class Judged(NamedTuple):
    """An event whose verdict has come."""

    token: Any
    event: Event
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a transfer that got no verdicts: the receiver is away, and everything waits alike."""

    first: float = 0.2
    longest: float = 60.0

    def wait(self, failures: int) -> float:
        """Seconds after that many failures in a row."""
        return min(self.first * 2.0 ** min(failures - 1, 32), self.longest)


class Outbox:
    """Pure: nobody else's clock, no I/O. The caller sends what `next` gives and tells how it ended."""

    def __init__(
        self, lane: Lane, here: str, *, backoff: Backoff | None = None, most_events: int = MOST_EVENTS
    ) -> None:
        self.lane, self.here = lane, here
        self.failures = 0
        """Transfers in a row that got no verdicts."""
        self._backoff = backoff or Backoff()
        self._most_events = most_events
        self._last = 0
        self._waiting: deque[Held] = deque()
        self._under_way: tuple[Held, ...] = ()
        self._not_before = 0.0

    @property
    def held(self) -> int:
        """Events without a verdict."""
        return len(self._waiting) + len(self._under_way)

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

    def due(self, now: float) -> float | None:
        """Seconds until `next` has something to send; None while a transfer is under way, or there is nothing."""
        if self._under_way or not self._waiting:
            return None
        return max(0.0, self._not_before - now)

    def next(self, now: float) -> Transfer | None:
        """The next transfer, from now on under way; None when it is not due."""
        if self.due(now) != 0.0:
            return None
        taken: list[Held] = []
        size = 0
        while self._waiting and len(taken) < self._most_events:
            if taken and size + self._waiting[0].size > MOST_BYTES:
                break
            taken.append(self._waiting.popleft())
            size += taken[-1].size
        self._under_way = tuple(taken)
        floor = taken[0].numbered.number - 1
        return Transfer(self.lane, floor, tuple(one.numbered for one in taken))

    def answered(self, verdicts: Sequence[Verdict | None]) -> list[Judged]:
        """The transfer under way got these verdicts, one for each event in order; those that have one have ended.

        The others wait again, before all that come later: so the numbers below the first of the next transfer have
        ended, which is what its `floor` says.
        """
        held, self._under_way = self._under_way, ()
        self.failures, self._not_before = 0, 0.0
        ended: list[Judged] = []
        again: list[Held] = []
        for one, verdict in zip(held, verdicts, strict=True):
            if verdict is None:
                again.append(one)
            else:
                ended.append(Judged(one.token, one.numbered.event, verdict))
        self._waiting.extendleft(reversed(again))
        return ended

    def failed(self, now: float, after: float | None = None) -> None:
        """The transfer under way got no verdicts: nobody knows what was stored, so all of it goes again, later.

        `after`: seconds that the receiver asked to wait.
        """
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way = ()
        self.failures += 1
        self._not_before = now + max(self._backoff.wait(self.failures), after or 0.0)
