"""Which events of a publish go to which partition, as records: a loop over every event, without waiting. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mesh_gateway.errors import EventError, EventTooLarge
from mesh_gateway.event import Event
from mesh_gateway_kafka.records import Record

BATCH_OVERHEAD = 70
"""Bytes of a record batch beside its records (61), rounded up."""

Share = list[tuple[int, Record]]
"""Each with the index of its event, in their order."""


def shares(
    events: Sequence[Event],
    encode: Callable[[Event], Record],
    *,
    limit: int,
    anywhere: int,
    place: Callable[[bytes], int],
) -> tuple[dict[int, Share], dict[int, EventError]]:
    """Records by partition, which is `place(key)`, or `anywhere` without a key. And by index, why an event is refused whose
    record has no room in a batch of `limit` bytes.
    """
    found: dict[int, Share] = {}
    refused: dict[int, EventError] = {}
    for index, event in enumerate(events):
        record = encode(event)
        if record.size + BATCH_OVERHEAD > limit:
            refused[index] = EventTooLarge(
                f"the event makes a Kafka record of {record.size} bytes, the limit here is {limit} (maxRecordBytes)"
            )
            continue
        partition = anywhere if record.key is None else place(record.key)
        share = found.get(partition)
        if share is None:
            found[partition] = [(index, record)]
        else:
            share.append((index, record))
    return found, refused
