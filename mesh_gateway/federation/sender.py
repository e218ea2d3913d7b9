"""A relay's way to its target: one transfer at a time, a meeting before the first and after every failure.

What is held longer than the source's transport lets it be held goes back there; what the target judges is its relay's to end.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mesh_gateway.delivery.schedule import Clock
from mesh_gateway.federation import via
from mesh_gateway.federation.contact import Contact
from mesh_gateway.federation.counters import RelayCounters
from mesh_gateway.federation.outbox import Backoff, Judged, Outbox
from mesh_gateway.federation.rate import Rate
from mesh_gateway.federation.target import Manner, NotTaken, Target, Unreached
from mesh_gateway.federation.transfer import Lane
from mesh_gateway.transport.contract import Delivery

PROBE_SECONDS = 5.0
"""How often a relay that has nothing to send asks whether its target is still there, so that none is called ready that
has been broken for longer."""

PART_OF_HOLD = 0.5
"""Of the time that a transport lets an event be held: the other half is for giving it back."""

Finish = Callable[[Delivery], None]


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """What the documents say of the way events go."""

    backoff: Backoff
    retry: int
    """Tries more than the first for an event that is not taken while others of its transfer are."""
    rate: float | None = None
    """Events a second; None = as fast as the target takes them."""
    max_hops: int = via.MAX_HOPS


class Token(NamedTuple):
    """What the outbox holds for its relay of each event."""

    delivery: Delivery
    finish: Finish
    since: float


class HeldTooLong(Exception):
    """What is held has to go back to its transport, before that takes it away."""


class Sender:
    """Sends what its relay puts into `outbox`. `run` has one owner, which calls `begin` before each.

    Each event that has its verdict goes to `ended`, each that turns out to have been at the target to `skipped`;
    `made_room` is called when the outbox takes more.
    """

    def __init__(
        self,
        *,
        lane: tuple[str, str],
        here: str,
        target: Target,
        contact: Contact,
        policy: RelayPolicy,
        counters: RelayCounters,
        clock: Clock,
        hold_limit: float,
        ended: Callable[[Judged], None],
        skipped: Callable[[Token], None],
        made_room: Callable[[], None],
    ) -> None:
        self.wake = asyncio.Event()
        """To be set when there is something new to send."""
        self.stopped = False
        self._lane = lane
        """Cluster and relay; each outbox has an epoch of its own."""
        self._here = here
        self.target = target
        self._contact = contact
        self._policy = policy
        self._rate = None if policy.rate is None else Rate(policy.rate)
        self._counters = counters
        self._clock = clock
        self._hold_limit = hold_limit
        self._ended = ended
        self._skipped = skipped
        self._made_room = made_room
        self._quiet = asyncio.Event()
        """Set while no transfer is under way."""
        self._quiet.set()
        self.outbox = self._new_outbox()

    def begin(self) -> None:
        """With an empty outbox: what the one before held comes again from the source."""
        self.outbox = self._new_outbox()
        self.wake.clear()

    def _new_outbox(self) -> Outbox:
        policy, manner = self._policy, self._contact.manner
        made = Outbox(
            Lane(*self._lane, uuid.uuid4().hex[:16]),
            self._here,
            backoff=policy.backoff,
            retry=policy.retry,
            rate=self._rate,
        )
        if manner is not None:
            made.bound(manner.most_events, manner.most_bytes)
        return made

    def stop(self) -> None:
        """Send nothing more; a transfer under way may still end."""
        self.stopped = True
        self.wake.set()

    async def idle(self) -> None:
        """After `stop`: returns once no transfer is under way."""
        await self._quiet.wait()

    async def run(self) -> None:
        """Send until cancelled. Raises `HeldTooLong`."""
        while True:
            await self._meet()
            try:
                while True:
                    await self._something_to_do()
                    await self._transfer()
            except Unreached as error:
                self._contact.away(self.target, error)
                self._give_back_in_time()

    async def _meet(self) -> None:
        """Until the target has said how it takes events."""
        while True:
            try:
                manner = await self.target.meet()
            except Unreached as error:
                self._contact.away(self.target, error)
                self._give_back_in_time()
                await asyncio.sleep(self._policy.backoff.wait(self._contact.failures, error.after))
            else:
                break
        self._greeted(manner)
        self._contact.met.set()
        self._made_room()

    def _greeted(self, manner: Manner) -> None:
        """Make ready for the target's manner, if that is another than before."""
        if manner != self._contact.manner:
            self.outbox.bound(manner.most_events, manner.most_bytes)
            if manner.place is not None:  # what was read while it was not known who is there
                for token in self.outbox.withdraw(manner.place):
                    self._skipped(token)
        self._contact.greeted(self.target, manner)

    async def _something_to_do(self) -> None:
        """Returns when a transfer is due. Asks now and then whether the target is still there. Raises `Unreached`."""
        while True:
            if self.stopped:
                await asyncio.Event().wait()  # until the owner cancels
            self._give_back_in_time()
            due = self.outbox.due(self._clock.time())
            if due == 0.0:
                return
            self.wake.clear()
            try:
                async with asyncio.timeout(PROBE_SECONDS if due is None else min(due, PROBE_SECONDS)):
                    await self.wake.wait()
            except TimeoutError:
                if due is None:
                    self._contact.failing = False  # there is nothing left that could not be sent
                    self._greeted(await self.target.meet())

    async def _transfer(self) -> None:
        """One transfer and what its verdicts mean. Raises `Unreached`."""
        transfer = self.outbox.next(self._clock.time())
        if transfer is None:
            return
        self._quiet.clear()
        try:
            verdicts = await self.target.send(transfer)
            if not any(verdicts):
                raise Unreached("unavailable", "the receiver could store none of the events")
        except NotTaken as error:
            judged = self.outbox.not_taken(str(error))
        except Unreached as error:
            self._contact.failing = True
            self.outbox.failed(self._clock.time(), error.after)
            raise
        else:
            self._counters.transfers += 1
            self._contact.failing = False
            self._contact.answered()
            judged = self.outbox.answered(verdicts, self._clock.time())
        finally:
            self._quiet.set()
        for one in judged:
            self._ended(one)
        self._made_room()

    def _give_back_in_time(self) -> None:
        """Raises `HeldTooLong` when the source would soon take away what is held."""
        oldest = self.outbox.first
        if oldest is not None and self._clock.time() - oldest.since > self._hold_limit * PART_OF_HOLD:
            raise HeldTooLong
