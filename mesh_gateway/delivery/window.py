"""A trigger's window: how much of its backlog may be in memory, what happens to the rest, and the copies that are in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.lanes import Copy, Lanes, PerKey, Unordered
from mesh_gateway.delivery.parking import Parking
from mesh_gateway.delivery.schedule import Clock, Schedule

COPY_OVERHEAD = 1_024
"""Bytes counted for an event's attributes and objects beside its data; the measured mean is ~900."""

REFILL_AT = 0.75
"""Parked copies come back when the window has fallen to this part, so that they come in batches."""


@dataclass(frozen=True, slots=True)
class Window:
    """The settings of one: copies and bytes held at once, attempts at once, order per key, and what a full one does."""

    events: int = 1_000
    bytes: int = 16_777_216
    parallelism: int = 64
    ordered: bool = False
    overflow: Literal["park", "block"] = "park"


class Held:
    """The copies that one trigger holds, from when each comes in until it is released: in their lanes, with the sink, or
    waiting to be tried again.

    As it empties, it calls `parking` back. A full one holds the gate, where that is what the window's settings say.
    """

    def __init__(
        self, window: Window, *, gate: Gate, parking: Parking, clock: Clock, due: Callable[[Copy], None]
    ) -> None:
        self.window = window
        self.copies = 0
        self.bytes = 0
        self.leaving = False
        self.lanes: Lanes = PerKey() if window.ordered else Unordered()
        self.retries: Schedule[Copy] = Schedule(clock, due)
        self._gate = gate
        self._parking = parking
        self._clock = clock
        self._stopped = False
        self._left = asyncio.Event()

    def add(self, copy: Copy, wait: float = 0.0) -> None:
        """Hold this copy, which is due in `wait` seconds if its order does not count."""
        self.copies += 1
        self.bytes += copy.size
        copy.since = self._clock.time()
        if wait and not self.window.ordered:
            self.retries.add(copy, wait)
        else:
            self.lanes.push(copy)
        if self.window.overflow == "block" and self._full():
            self._gate.hold(self)

    def release(self, copy: Copy) -> None:
        """It is held no longer: it has ended, or comes again from where it lies."""
        self.copies -= 1
        self.bytes -= copy.size
        self.lanes.release(copy)
        if self.window.overflow == "block" and not self._full():
            self._gate.let(self)
        if self._parking.wants_room and self.room() > 0:
            self._parking.resume()
        if self.leaving:
            self._note_left()

    def room(self) -> int:
        """How many parked copies may come back now."""
        window = self.window
        if self._stopped or self.leaving or self.bytes > window.bytes * REFILL_AT:
            return 0
        return 0 if self.copies > window.events * REFILL_AT else window.events - self.copies

    def adopt(self, window: Window) -> None:
        """Be as large as this says from now on; order and overflow stay."""
        assert (window.ordered, window.overflow) == (self.window.ordered, self.window.overflow)
        self.window = window
        if window.overflow == "block":
            (self._gate.hold if self._full() else self._gate.let)(self)
        if self._parking.wants_room and self.room() > 0:
            self._parking.resume()

    def stop(self) -> None:
        """Nothing comes back any more, and nothing is tried again."""
        self._stopped = True
        self.retries.clear()

    def leave(self) -> None:
        """Nothing is offered any more; the gate is let go with the last copy at the latest."""
        self.leaving = True
        self._note_left()

    async def left(self) -> None:
        """After `leave`: returns once no copy is held."""
        await self._left.wait()

    def _note_left(self) -> None:
        self._gate.let(self)
        if self.copies == 0:
            self._gate.let(self._parking)
            self._left.set()

    def _full(self) -> bool:
        return self.copies >= self.window.events or self.bytes >= self.window.bytes
