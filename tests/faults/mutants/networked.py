"""Seeded bugs of single transports. Each function patches this process."""

from __future__ import annotations

from typing import Any

from mesh_gateway_kafka.subscription import KafkaSubscription
from mesh_gateway_kafka.watermark import Watermark
from mesh_gateway_rabbitmq import messages, publisher
from mesh_gateway_sqs import subscription as sqs


def commits_the_highest_offset() -> None:
    """M1 on Kafka: what is finished out of order commits everything before it."""

    def settle(self: Watermark, offset: int) -> bool:
        if self.dropped:
            return False
        open = self._open
        while open and open[0] <= offset:
            self._done.discard(open.popleft())
        return True

    Watermark.settle = settle  # type: ignore[method-assign]


def gives_messages_the_events_id() -> None:
    """M7: the AMQP message id is the event's; a message that comes back belongs to nobody, or to another publish."""

    def encoded(event: Any, message_id: bytes, now: int) -> Any:
        return messages.encode(event, event.id.encode(), now)

    vars(publisher)["encode"] = encoded


def begins_new_partitions_at_their_end() -> None:
    """M16: as `auto_offset_reset=latest`: where nothing is committed, it is read from the end."""

    async def begin(self: KafkaSubscription) -> None:
        watermarks = self.partitions.watermarks
        fresh = [partition for partition, watermark in watermarks.items() if watermark.committed is None]
        if fresh:
            for partition, end in (await self._consumer.end_offsets(fresh)).items():
                self._consumer.seek(partition, max(end, watermarks[partition].next))

    KafkaSubscription._begin_where_nothing_is_committed = begin  # type: ignore[method-assign]


def keeps_the_first_handle() -> None:
    """M18: a message that ran out and came again is deleted with the handle that it had first."""

    class Stubborn(sqs.Held):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            if name != "handle" or not hasattr(self, "handle"):
                super().__setattr__(name, value)

    sqs.Held = Stubborn  # type: ignore[misc]
