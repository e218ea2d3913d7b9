"""Publishing: batches of ten, a verdict for each entry, its MD5 compared."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mesh_gateway.errors import EventError, EventTooLarge, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway_sqs import api
from mesh_gateway_sqs.api import Entry, Text
from mesh_gateway_sqs.batches import AT_ONCE, BATCH, each
from mesh_gateway_sqs.client import Sqs, Unknown
from mesh_gateway_sqs.messages import deduplication_id, encode, group_id
from mesh_gateway_sqs.options import LARGEST


@dataclass(slots=True)
class Verdict:
    """What became of the events of one publish, by index."""

    failed: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    refused: dict[int, EventError] = field(default_factory=dict)
    why: TransportError | None = None

    def speak(self) -> None:
        """Raises `PublishError` unless everything is durable."""
        if self.failed or self.unknown or self.refused:
            why = self.why or next(iter(self.refused.values()))
            raise PublishError(
                str(why),
                failed=self.failed,
                unknown=self.unknown,
                refused=self.refused,
                retry_after=self.why.retry_after if self.why else None,
            ) from why


async def publish(
    sqs: Sqs, queue: str, events: Sequence[Event], *, fifo: bool, fresh: bool, max_bytes: int, seconds: float
) -> None:
    """Stored by SQS when it returns. Raises `PublishError`. `fresh` = a second copy is meant (parked, dead letters)."""
    verdict = Verdict()
    entries = list(_entries(events, max_bytes, verdict, fifo=fifo, fresh=fresh))
    open = {int(entry.id) for entry, _ in entries}

    async def send(batch: Sequence[Entry]) -> None:
        indexes = {int(entry.id) for entry in batch}
        if fifo and verdict.why is not None:
            # Were the first lost and the second stored, order would be broken.
            verdict.failed |= indexes
        else:
            await _send(sqs, queue, batch, indexes, verdict, seconds)
        open.difference_update(indexes)

    try:
        async with asyncio.timeout(seconds):
            await each(list(_batches(entries)), send, at_once=1 if fifo else AT_ONCE)
    except TimeoutError:
        verdict.unknown |= open
        verdict.why = verdict.why or Unknown(f"SQS has not confirmed within {seconds:g} s", retry_after=1)
    verdict.speak()


def _entries(
    events: Sequence[Event], max_bytes: int, verdict: Verdict, *, fifo: bool, fresh: bool
) -> Iterator[tuple[Entry, int]]:
    """Each with its size; its id is its index."""
    for index, event in enumerate(events):
        message = encode(event)
        if message.size > max_bytes:
            verdict.refused[index] = EventTooLarge(
                f"the event makes an SQS message of {message.size} bytes, the limit here is {max_bytes} (maxMessageBytes)"
            )
            continue
        texts = {name: Text(value) for name, value in message.attributes.items()}
        entry = Entry(str(index), message.body, texts)
        if fifo:
            entry.message_group_id = group_id(event)
            entry.message_deduplication_id = uuid.uuid4().hex if fresh else deduplication_id(event)
        yield entry, message.size


def _batches(entries: Iterable[tuple[Entry, int]]) -> Iterator[list[Entry]]:
    """In order; at most ten entries and 1 MiB each."""
    batch: list[Entry] = []
    sum = 0
    for entry, size in entries:
        if batch and (len(batch) == BATCH or sum + size > LARGEST):
            yield batch
            batch, sum = [], 0
        batch.append(entry)
        sum += size
    if batch:
        yield batch


async def _send(
    sqs: Sqs, queue: str, batch: Sequence[Entry], indexes: set[int], verdict: Verdict, seconds: float
) -> None:
    try:
        payload = {"QueueUrl": queue, "Entries": batch}
        answer = await sqs.call("SendMessageBatch", payload, api.done, seconds)
    except Unknown as error:
        verdict.unknown |= indexes
        verdict.why = verdict.why or error
        return
    except TransportError as error:
        verdict.failed |= indexes
        verdict.why = verdict.why or error
        return
    bodies = {entry.id: entry.message_body for entry in batch}
    stored = {
        int(one.id) for one in answer.successful or () if one.md5_of_message_body == api.md5(bodies[one.id])
    }
    for one in answer.failed or ():
        verdict.failed.add(int(one.id))
        verdict.why = verdict.why or TransportError(
            f"SQS did not store it: {one.code} {one.message or ''}".strip(), retry_after=1
        )
    if damaged := indexes - stored - verdict.failed:
        verdict.unknown |= damaged
        verdict.why = verdict.why or Unknown("SQS did not say what it has stored, or its MD5 is another")
