"""Where an undeliverable event ends: the dead letter sink, else the broker's durable dead-letter channel.

Nothing is ever dropped because it could not be delivered. The dead letter carries Knative's
error extensions and ours:

    knativeerrordest   the URL that failed
    knativeerrorcode   the HTTP status; absent when there was no response
    knativeerrordata   base64 of the first 1024 bytes of the response body; absent when empty
    meshtrigger        namespace/name of the trigger whose copy this is; relay:namespace/name of a relay
    meshcluster        the gateway that it belongs to: letters travel, by relays
    meshattempts       how often delivery was tried
    meshreason         why it failed, in words
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from mesh_gateway.delivery.insist import Insist
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.replaced import Outlet, Replaced
from mesh_gateway.delivery.schedule import Clock, Schedule
from mesh_gateway.delivery.sink import Accepted, Outcome, Refused, Retry, Sink
from mesh_gateway.errors import EventError
from mesh_gateway.event import Event, Kind

ERROR_DATA_BYTES = 1024
"""Of the response body, before base64: then what is kept can be decoded. As Knative's Kafka broker does it."""

REASON_LENGTH = 256

TRIGGER, CLUSTER = "meshtrigger", "meshcluster"
"""Whose letter it is: with the source and the id of the event this is what tells one letter from another."""

ERROR_ATTRIBUTES = (
    "knativeerrordest",
    "knativeerrorcode",
    "knativeerrordata",
    TRIGGER,
    CLUSTER,
    "meshattempts",
    "meshreason",
)
"""What a dead letter carries beside the event, and what a redrive takes off again."""


def dead_letter(
    event: Event,
    *,
    trigger: str,
    cluster: str,
    address: str,
    outcome: Retry | Refused,
    attempts: int,
    reason: str,
) -> Event:
    """The event as it is buried: unchanged but for the error attributes."""
    attributes = {
        **event.attributes,
        "knativeerrordest": address,
        TRIGGER: trigger,
        CLUSTER: cluster,
        "meshattempts": str(attempts),
        "meshreason": _printable(reason)[:REASON_LENGTH],
    }
    # A producer may have sent attributes of these names, with types of their own.
    kinds: dict[str, Kind] = {
        name: kind for name, kind in (event.kinds or {}).items() if name not in ERROR_ATTRIBUTES
    }
    kinds["meshattempts"] = "integer"
    for name in ("knativeerrorcode", "knativeerrordata"):
        attributes.pop(name, None)
    if outcome.code is not None:
        attributes["knativeerrorcode"] = str(outcome.code)
        kinds["knativeerrorcode"] = "integer"
    if outcome.body:
        attributes["knativeerrordata"] = base64.b64encode(outcome.body[:ERROR_DATA_BYTES]).decode()
    return Event(attributes, event.data, kinds, event.headers)


def without_error(event: Event) -> Event:
    """The event as it was before it became a dead letter; for redrive."""
    return event.with_attributes(dict.fromkeys(ERROR_ATTRIBUTES))


def _printable(text: str) -> str:
    """CloudEvents strings hold no control characters (CloudEvents 1.0.2, 2.3.1)."""
    return "".join(c if c.isprintable() else " " for c in text) or "unknown"


class DeadLetters:
    """Buries one trigger's undeliverable copies; any number under way at once.

    `done(where)` is called once the letter is durable: `sink` (2xx from the dead letter sink) or
    `channel`. As long as neither takes it, it is tried on and the event stays unsettled.
    """

    def __init__(
        self,
        *,
        trigger: str,
        cluster: str,
        sink: Sink | None,
        store: Insist,
        policy: RetryPolicy,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._trigger = trigger
        self._cluster = cluster
        self._outlet = Outlet(sink)
        self._posting = 0
        self._store = store
        self._policy = policy
        self._chance = chance
        self._later: Schedule[_Letter] = Schedule(clock, self._post)
        self._stopped = False
        self.unburied = 0
        """Copies that not even the dead-letter channel can hold; they stay unsettled."""

    def bury(
        self,
        event: Event,
        *,
        address: str,
        outcome: Retry | Refused,
        attempts: int,
        done: Callable[[str], None],
    ) -> None:
        """Take this copy to its durable end."""
        letter = _Letter(event, address, outcome, attempts, done)
        if self._outlet.sink is None:
            self._keep(letter, outcome.why)
        else:
            self._post(letter)

    def adopt(self, policy: RetryPolicy) -> None:
        """Judge tries by this policy from now on."""
        self._policy = policy

    def replace(self, sink: Sink | None) -> Replaced | None:
        """Letters go to `sink` from now on, also those that wait for another try; the old one is to be closed."""
        return self._outlet.replace(sink, self._posting)

    def stop(self) -> None:
        """Try nothing again; what is under way may still end, and stays without an end if it fails."""
        self._stopped = True
        self._later.clear()

    async def close(self) -> None:
        """End what is under way without an end; frees connections."""
        self.stop()
        await self._outlet.close()

    def _event(self, letter: _Letter, reason: str) -> Event:
        return dead_letter(
            letter.event,
            trigger=self._trigger,
            cluster=self._cluster,
            address=letter.address,
            outcome=letter.outcome,
            attempts=letter.attempts,
            reason=reason,
        )

    def _post(self, letter: _Letter) -> None:
        sink = letter.sink = self._outlet.sink
        if sink is None:  # it had one when it was first tried
            self._keep(letter, letter.outcome.why)
            return
        letter.tries += 1
        self._posting += 1
        sink.send(self._event(letter, letter.outcome.why), letter, self._posted)

    def _posted(self, letter: Any, outcome: Outcome) -> None:
        self._posting -= 1
        if letter.sink is not self._outlet.sink:
            self._outlet.ended(letter.sink)
        if isinstance(outcome, Accepted):
            letter.done("sink")
        elif self._stopped and isinstance(outcome, Retry):
            pass
        elif isinstance(outcome, Retry) and self._policy.again(letter.tries):
            self._later.add(letter, self._policy.wait(letter.tries, outcome.after, self._chance()))
        else:
            self._keep(letter, f"{letter.outcome.why}; dead letter sink: {outcome.why}")

    def _keep(self, letter: _Letter, reason: str) -> None:
        def kept(error: EventError | None) -> None:
            # Refused by the dead-letter channel for good: without a durable end it stays unsettled.
            if error is None:
                letter.done("channel")
            else:
                self.unburied += 1

        self._store.store(self._event(letter, reason), kept)


class _Letter:
    __slots__ = ("address", "attempts", "done", "event", "outcome", "sink", "tries")

    def __init__(
        self, event: Event, address: str, outcome: Retry | Refused, attempts: int, done: Callable[[str], None]
    ) -> None:
        self.event = event
        self.address = address
        self.outcome = outcome
        self.attempts = attempts
        self.done = done
        self.sink: Sink | None = None
        self.tries = 0
