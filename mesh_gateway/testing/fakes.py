"""Stand-ins for what a test wants to script: a sink whose endings the test decides, a subscription that only records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesh_gateway.delivery.sink import Ended, Outcome
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery


@dataclass(slots=True)
class Attempt:
    """One attempt that a `ScriptedSink` was asked for."""

    event: Event
    context: Any
    ended: Ended

    def end(self, outcome: Outcome) -> None:
        """Let this attempt end, now."""
        self.ended(self.context, outcome)


class ScriptedSink:
    """Holds every attempt until the test ends it, or answers by itself with `answer`."""

    def __init__(self, answer: Outcome | None = None, address: str = "http://subscriber.test/") -> None:
        self.address = address
        self.answer = answer
        self.attempts: list[Attempt] = []
        self.total = 0
        self.closed = False

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        """As `Sink.send`."""
        self.total += 1
        if self.answer is not None:
            asyncio.get_running_loop().call_soon(ended, context, self.answer)
            self.attempts.append(Attempt(event, context, lambda _context, _outcome: None))
        else:
            self.attempts.append(Attempt(event, context, ended))

    def end(self, outcome: Outcome) -> Event:
        """End the oldest open attempt."""
        attempt = self.attempts.pop(0)
        attempt.end(outcome)
        return attempt.event

    async def close(self) -> None:
        self.closed = True


class RecordingSubscription:
    """Hands out what the test puts into `arriving`, and records what is settled."""

    def __init__(self, arriving: Sequence[Sequence[Delivery]] = ()) -> None:
        self.arriving = [list(batch) for batch in arriving]
        self.settled: list[Delivery] = []
        self.settles = 0
        self.closed = False

    async def receive(self, limit: int) -> Sequence[Delivery]:
        if self.arriving:
            return self.arriving.pop(0)
        await asyncio.Event().wait()
        return []

    async def settle(self, done: Sequence[Delivery]) -> None:
        self.settles += 1
        self.settled.extend(done)

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """Nothing is handed out twice here."""

    async def close(self) -> None:
        self.closed = True
