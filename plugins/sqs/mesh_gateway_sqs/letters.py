"""Dead letters: SQS cannot be looked into, so they are all received, and given back at once.

While somebody looks, they are invisible to whoever else looks; nobody reads dead letters otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from mesh_gateway.errors import InvalidEvent, TransportError
from mesh_gateway.transport.contract import Stored
from mesh_gateway.wire.unreadable import wrapped
from mesh_gateway_sqs import api
from mesh_gateway_sqs.api import Message, Receipt
from mesh_gateway_sqs.batches import BATCH, tens
from mesh_gateway_sqs.client import Sqs
from mesh_gateway_sqs.clock import Clock
from mesh_gateway_sqs.messages import decode

MOST = 100_000
"""Letters that are looked at, if there is time for so many; SQS lets no more than 120,000 be invisible."""

LOOK_SECONDS = 300
"""For which they stay invisible if we die while looking. Half of it is for taking them, the rest for giving them back:
what was taken first would come again otherwise, and there would be no end of it."""


class Letters:
    """The dead letters of one queue. One look at a time."""

    def __init__(self, sqs: Sqs, channel: str, queue: str, clock: Clock) -> None:
        self._sqs, self._channel, self._queue, self._clock = sqs, channel, queue, clock
        self._turn = asyncio.Lock()

    async def browse(self, after: str | None, limit: int) -> list[Stored]:
        """Up to `limit` letters behind position `after`, oldest first. Raises `TransportError`."""
        async with self._turn:
            messages = await self._take_all()
            await self._give_back(messages)
        found = sorted(messages, key=_position)
        chosen = [message for message in found if after is None or _position(message) > after][:limit]
        return [self._stored(message) for message in chosen]

    async def remove(self, positions: Sequence[str]) -> int:
        """Take these out; how many were there. Raises `TransportError`."""
        wanted = set(positions)
        async with self._turn:
            messages = await self._take_all()
            gone = [message for message in messages if _position(message) in wanted]
            try:
                await self._each("DeleteMessageBatch", gone)
            finally:
                await self._give_back([message for message in messages if _position(message) not in wanted])
        return len(gone)

    async def _take_all(self) -> list[Message]:
        payload = {
            "QueueUrl": self._queue,
            "MaxNumberOfMessages": BATCH,
            "WaitTimeSeconds": 1,  # a request that waits asks all of SQS's servers, one that does not only some
            "VisibilityTimeout": LOOK_SECONDS,
            "MessageSystemAttributeNames": ["SentTimestamp"],
            "MessageAttributeNames": ["All"],
        }
        found: dict[str, Message] = {}
        end = self._clock.time() + LOOK_SECONDS / 2
        try:
            while len(found) < MOST and self._clock.time() < end:
                messages = (await self._sqs.call("ReceiveMessage", payload, api.received)).messages
                if not messages:
                    break
                found |= {message.message_id: message for message in messages}
        except TransportError:
            await self._give_back(list(found.values()))
            raise
        return list(found.values())

    async def _give_back(self, messages: Sequence[Message]) -> None:
        await self._each("ChangeMessageVisibilityBatch", messages, 0)

    async def _each(self, action: str, messages: Sequence[Message], visible: int | UnsetType = UNSET) -> None:
        for batch in tens(messages):
            entries = [
                Receipt(str(number), message.receipt_handle, visible) for number, message in enumerate(batch)
            ]
            answer = await self._sqs.call(action, {"QueueUrl": self._queue, "Entries": entries}, api.done)
            if failed := answer.failed:
                raise TransportError(
                    f"SQS did not do {action} for {len(failed)} dead letters: {failed[0].code}"
                )

    def _stored(self, message: Message) -> Stored:
        position = _position(message)
        try:
            event = decode(message.body, message.texts())
        except InvalidEvent as error:
            event = wrapped(
                message.body.encode(), channel=self._channel, position=position, why=str(error), headers={}
            )
        return Stored(position, event, int(position.partition("-")[0]) / 1000)


def _position(message: Message) -> str:
    """When it was sent and which it is: sorts by time."""
    sent = message.attributes.sent_timestamp if message.attributes else 0
    return f"{int(sent):015d}-{message.message_id}"
