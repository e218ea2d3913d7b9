"""aiokafka's producer, with batches that the native part writes. The range of versions in pyproject is narrow for the sake of this, too."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer

from mesh_gateway_kafka.batches import Batch, natively


class Producer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """Whose batches are written by the native part where that is possible."""

    def create_batch(self) -> Any:
        """An empty batch."""
        if natively(self._compression_type or "none"):
            return Batch(self._message_accumulator._batch_size)
        return super().create_batch()
