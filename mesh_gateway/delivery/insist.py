"""Publishing one event until it is durable, however long the transport is down.

Replies, dead letters and parked copies have no other place to go: giving up would lose them,
and the event they come from stays unsettled meanwhile, so trying on is always right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from mesh_gateway.delivery.schedule import Clock, Schedule
from mesh_gateway.errors import EventError, MeshError
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import Done

Publish = Callable[[Event, Done], None]
Finally = Callable[[EventError | None], None]
"""None = durable; an `EventError` = this event can never be stored there."""

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds between tries: 0.5, 1, 2 … 30. A transport that comes back is used within half a
minute, and one that is down sees two tries a minute and event."""


class Insist:
    """Tries `publish` again and again; one for all the events of its owner."""

    def __init__(self, publish: Publish, clock: Clock) -> None:
        self._publish = publish
        self._later: Schedule[_Try] = Schedule(clock, self._start)
        self._stopped = False
        self.waiting = 0
        """Events not durable yet."""
        self.failures = 0
        """Tries that failed since the start."""
        self.last_error = ""

    def begin(self) -> None:
        """Its events wait for nobody."""

    def store(self, event: Event, ended: Finally) -> None:
        """`ended` is called once, when the event is durable or refused for good; never at once."""
        self.waiting += 1
        self._start(_Try(event, ended))

    def stop(self) -> None:
        """Try nothing again; what waits, or fails after this, stays without an end, so its cause stays unsettled."""
        self._stopped = True
        self._later.clear()

    def _start(self, attempt: _Try) -> None:
        attempt.count += 1

        def done(error: MeshError | None) -> None:
            if error is None or isinstance(error, EventError):
                self.waiting -= 1
                attempt.ended(error)
                return
            self.failures += 1
            self.last_error = str(error)
            if not self._stopped:
                self._later.add(attempt, wait_after(attempt.count))

        try:
            self._publish(attempt.event, done)
        except EventError as error:
            # Refused at the door, before anything was queued: there is no later call to expect.
            self.waiting -= 1
            attempt.ended(error)


class InOrder:
    """As `Insist`, for events whose order counts: none is published before `begin`, nor before those that came earlier
    are durable, or go out in the same batch of at most `at_once`.
    """

    def __init__(self, publish: Publish, clock: Clock, at_once: int) -> None:
        self._publish = publish
        self._at_once = at_once
        self._queue: deque[_Try] = deque()
        self._batch: list[_Try] = []
        self._open = 0
        self._resting: Schedule[None] = Schedule(clock, self._publish_batch)
        self._begun = self._stopped = False
        self.waiting = 0
        """Events not durable yet."""

    def begin(self) -> None:
        """Whoever stored into the same channel before has done so; idempotent."""
        self._begun = True
        self._next()

    def store(self, event: Event, ended: Finally) -> None:
        """As `Insist.store`."""
        self.waiting += 1
        self._queue.append(_Try(event, ended))
        self._next()

    def _next(self) -> None:
        if self._begun and not self._open and not len(self._resting):
            self._publish_batch()

    def stop(self) -> None:
        """As `Insist.stop`."""
        self._stopped = True
        self._resting.clear()

    def _publish_batch(self, _: None = None) -> None:
        """Publish the next batch; the one before has ended."""
        if self._stopped or not self._queue:
            return
        self._batch = [self._queue.popleft() for _ in range(min(self._at_once, len(self._queue)))]
        self._open = len(self._batch)
        for attempt in self._batch:
            attempt.count += 1
            try:
                self._publish(attempt.event, partial(self._done, attempt))
            except EventError as error:
                self._done(attempt, error)

    def _done(self, attempt: _Try, error: MeshError | None) -> None:
        attempt.failed = not (error is None or isinstance(error, EventError))
        if not attempt.failed:
            self.waiting -= 1
            attempt.ended(error if isinstance(error, EventError) else None)
        self._open -= 1
        if self._open == 0:
            self._batch_ended()

    def _batch_ended(self) -> None:
        """What failed goes again, before all that came later."""
        failed = [attempt for attempt in self._batch if attempt.failed]
        self._batch = []
        self._queue.extendleft(reversed(failed))
        if not failed:
            self._publish_batch()
        elif not self._stopped:
            self._resting.add(None, wait_after(max(attempt.count for attempt in failed)))


def wait_after(tries: int) -> float:
    """Seconds before the next try."""
    return min(FIRST_WAIT * 2.0 ** min(tries - 1, 10), LONGEST_WAIT)


class _Try:
    __slots__ = ("count", "ended", "event", "failed")

    def __init__(self, event: Event, ended: Finally) -> None:
        self.event = event
        self.ended = ended
        self.count = 0
        self.failed = False
