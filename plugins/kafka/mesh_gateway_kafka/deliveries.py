"""What was fetched of a partition as deliveries: a loop over every record, without waiting. Pure but for its watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.transport.contract import Delivery
from mesh_gateway_kafka.records import event_of
from mesh_gateway_kafka.watermark import Watermark

Token = tuple[Watermark, int]
"""Of a delivery: its partition's watermark and its offset."""

Broken = tuple[Token, str, Any, str]
"""A record that is no event: token, position, the record, why."""


def deliveries(
    records: Sequence[Any], partition: int, watermark: Watermark, broken: list[Broken]
) -> list[Delivery]:
    """The events of these records, handed out; those that are none are added to `broken`, and are handed out as well."""
    found: list[Delivery] = []
    for record in records:
        offset: int = record.offset
        if not watermark.hand_out(offset):
            continue
        token, position = (watermark, offset), f"{partition}:{offset}"
        try:
            event = event_of(record)
        except InvalidEvent as error:
            broken.append((token, position, record, str(error)))
            continue
        key = event.attributes.get("partitionkey")
        found.append(
            Delivery(
                event, token, position, str(partition) if key is None else key, None, record.timestamp / 1000
            )
        )
    return found
