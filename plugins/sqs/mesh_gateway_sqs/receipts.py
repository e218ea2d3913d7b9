"""The messages of a queue that we have, by their receipts: deleted, or invisible to others for so long. Tens at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import UNSET, UnsetType

from mesh_gateway.errors import ConnectionLost, Throttled
from mesh_gateway_sqs import api
from mesh_gateway_sqs.api import Failure, Receipt
from mesh_gateway_sqs.batches import AT_ONCE, each, tens
from mesh_gateway_sqs.client import SLOWER, Sqs, Unknown
from mesh_gateway_sqs.clock import Clock

RETRIES, RETRY_SECONDS = 3, 0.5
"""Of a delete or an extension that SQS did not answer."""

INVISIBLE_SECONDS = 43_190.0
"""From its receive on, a message may be invisible for 12 hours in all; ten seconds of them for two clocks to differ.
SQS refuses whatever goes beyond."""


class Held:
    """One message that we have."""

    __slots__ = ("handle", "id", "lost", "since")

    def __init__(self, id: str, handle: str, since: float) -> None:
        self.id, self.handle, self.since = id, handle, since
        self.lost = False


class Receipts:
    """What is done with messages that we have. `lose` is told those that SQS says are not ours any more.

    A call raises the first `TransportError` once all of its requests have ended. With `fifo` they go one after the other.
    """

    def __init__(
        self, sqs: Sqs, queue: str, clock: Clock, lose: Callable[[Held], None], *, fifo: bool
    ) -> None:
        self._sqs, self._queue, self._clock, self._lose = sqs, queue, clock, lose
        self._at_once = 1 if fifo else AT_ONCE

    async def delete(self, held: Sequence[Held]) -> None:
        """Gone from the queue when it returns."""
        await each(tens(held), partial(self._batch, "DeleteMessageBatch", None), at_once=self._at_once)

    async def hide(self, held: Sequence[Held], seconds: float) -> None:
        """Invisible for so many seconds from now, as far as SQS allows; for 0, there for whoever reads next."""
        batch = partial(self._batch, "ChangeMessageVisibilityBatch", seconds)
        await each(tens(held), batch, at_once=self._at_once)

    async def _batch(self, action: str, invisible: float | None, held: Sequence[Held]) -> None:
        left = {str(number): one for number, one in enumerate(held)}
        for attempt in range(RETRIES):
            entries = [Receipt(id, one.handle, self._timeout(one, invisible)) for id, one in left.items()]
            try:
                payload = {"QueueUrl": self._queue, "Entries": entries}
                answer = await self._sqs.call(action, payload, api.done)
            except (Unknown, Throttled):
                if attempt == RETRIES - 1:
                    raise
                await self._clock.sleep(RETRY_SECONDS)
                continue
            failed = answer.failed or ()
            again = {one.id for one in failed if _passes(one)}
            for one in failed:
                if one.id not in again:
                    self._lose(left[one.id])
            left = {id: one for id, one in left.items() if id in again}
            if not left:
                return
            await self._clock.sleep(RETRY_SECONDS)
        raise ConnectionLost(f"SQS did not do {action} for {len(left)} messages of {self._queue}")

    def _timeout(self, held: Held, invisible: float | None) -> int | UnsetType:
        if invisible is None:
            return UNSET
        left = INVISIBLE_SECONDS - (self._clock.time() - held.since)
        return max(0, round(min(invisible, left)))


def _passes(failure: Failure) -> bool:
    """Whether this failure of an entry is SQS's own: throttling is told as the sender's fault, too."""
    return failure.code in SLOWER or not failure.sender_fault
