"""Publishing one event until it is durable, however long the transport is down.

Replies, dead letters and parked copies have no other place to go: giving up would lose them,
and the event they come from stays unsettled meanwhile, so trying on is always right.
"""

from __future__ import annotations

from collections.abc import Callable

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
        self.waiting = 0
        """Events not durable yet."""
        self.failures = 0
        """Tries that failed since the start."""
        self.last_error = ""

    def store(self, event: Event, ended: Finally) -> None:
        """`ended` is called once, when the event is durable or refused for good; never at once."""
        self.waiting += 1
        self._start(_Try(event, ended))

    def stop(self) -> None:
        """Try no more; what waits stays without an end, so its cause stays unsettled."""
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
            self._later.add(attempt, min(FIRST_WAIT * 2 ** min(attempt.count - 1, 10), LONGEST_WAIT))

        try:
            self._publish(attempt.event, done)
        except EventError as error:
            # Refused at the door, before anything was queued: there is no later call to expect.
            self.waiting -= 1
            attempt.ended(error)


class _Try:
    __slots__ = ("count", "ended", "event")

    def __init__(self, event: Event, ended: Finally) -> None:
        self.event = event
        self.ended = ended
        self.count = 0
