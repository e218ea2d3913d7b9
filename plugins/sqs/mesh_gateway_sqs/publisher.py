"""Publishing: batches of ten, a verdict for each entry, its MD5 compared."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesh_gateway.errors import EventError, EventTooLarge, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway_sqs.client import Sqs, Unknown
from mesh_gateway_sqs.messages import Message, deduplication_id, encode, group_id
from mesh_gateway_sqs.options import LARGEST

BATCH = 10
"""Entries of one request, by SQS's own rule."""

AT_ONCE = 8
"""Requests of one publish under way: at 10 ms each that is 8,000 events a second, over as many connections."""


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


Entry = tuple[int, Event, Message]


async def publish(
    sqs: Sqs, queue: str, events: Sequence[Event], *, fifo: bool, fresh: bool, max_bytes: int, seconds: float
) -> None:
    """Stored by SQS when it returns. Raises `PublishError`. `fresh` = a second copy is meant (parked, dead letters)."""
    verdict = Verdict()
    entries = list(_entries(events, max_bytes, verdict))
    batches = list(_batches(entries))
    open = {index for index, _, _ in entries}
    room = asyncio.Semaphore(1 if fifo else AT_ONCE)

    async def send(batch: list[Entry]) -> None:
        async with room:
            if fifo and verdict.why is not None:
                # Were the first lost and the second stored, order would be broken.
                verdict.failed |= {index for index, _, _ in batch}
            else:
                await _send(sqs, queue, batch, verdict, fifo=fifo, fresh=fresh, seconds=seconds)
            open.difference_update(index for index, _, _ in batch)

    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for batch in batches:
                tasks.create_task(send(batch))
    except TimeoutError:
        verdict.unknown |= open
        verdict.why = verdict.why or Unknown(f"SQS has not confirmed within {seconds:g} s", retry_after=1)
    verdict.speak()


def _entries(events: Sequence[Event], max_bytes: int, verdict: Verdict) -> Iterator[Entry]:
    for index, event in enumerate(events):
        message = encode(event)
        if message.size > max_bytes:
            verdict.refused[index] = EventTooLarge(
                f"the event makes an SQS message of {message.size} bytes, the limit here is {max_bytes} (maxMessageBytes)"
            )
        else:
            yield index, event, message


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """In order; at most ten entries and 1 MiB each."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == BATCH or size + entry[2].size > LARGEST):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry[2].size
    if batch:
        yield batch


async def _send(
    sqs: Sqs, queue: str, batch: list[Entry], verdict: Verdict, *, fifo: bool, fresh: bool, seconds: float
) -> None:
    entries = [_entry(index, event, message, fifo=fifo, fresh=fresh) for index, event, message in batch]
    indexes = {index for index, _, _ in batch}
    try:
        answer = await sqs.call("SendMessageBatch", {"QueueUrl": queue, "Entries": entries}, seconds)
    except Unknown as error:
        verdict.unknown |= indexes
        verdict.why = verdict.why or error
        return
    except TransportError as error:
        verdict.failed |= indexes
        verdict.why = verdict.why or error
        return
    bodies = {index: message.body for index, _, message in batch}
    stored = {
        int(entry["Id"])
        for entry in answer.get("Successful", [])
        if entry.get("MD5OfMessageBody") == hashlib.md5(bodies[int(entry["Id"])].encode()).hexdigest()  # noqa: S324
    }
    for entry in answer.get("Failed", []):
        verdict.failed.add(int(entry["Id"]))
        verdict.why = verdict.why or TransportError(
            f"SQS did not store it: {entry.get('Code')} {entry.get('Message', '')}".strip(), retry_after=1
        )
    if damaged := indexes - stored - verdict.failed:
        verdict.unknown |= damaged
        verdict.why = verdict.why or Unknown("SQS did not say what it has stored, or its MD5 is another")


def _entry(index: int, event: Event, message: Message, *, fifo: bool, fresh: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": str(index),
        "MessageBody": message.body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()
        },
    }
    if fifo:
        entry["MessageGroupId"] = group_id(event)
        entry["MessageDeduplicationId"] = uuid.uuid4().hex if fresh else deduplication_id(event)
    return entry
