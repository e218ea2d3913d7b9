"""How clients end, aiokafka's and ours: in order if that is possible in time, else without ceremony.

aiokafka's `stop` waits for brokers that are gone (aiokafka #659), with no limit of its own, and has no public way to be
abandoned: a `stop` that is cancelled leaves tasks and sockets behind. The range of versions in pyproject is narrow for
the sake of the private names here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from mesh_gateway_kafka.producer import Producer

log = logging.getLogger(__name__)

IN_ORDER = 5.0
"""Seconds for a client to end in order while the cluster answers."""

LOST = 0.3
"""Seconds while it does not: nobody is there to be told."""


async def stop_consumer(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Leave the group and disconnect; raises nothing. Cancelled, it disconnects without a word."""
    left = False
    try:
        left = await _ended(consumer.stop(), seconds)
    finally:
        if not left:
            log.info("a consumer did not leave its group in time, its session will end")
            await _ended(_abandon_consumer(consumer), IN_ORDER)


async def _abandon_consumer(consumer: AIOKafkaConsumer) -> None:
    try:
        # Again and again: one that waits for another that it has cancelled takes our cancellation for that, and goes on.
        while running := _running(consumer):
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=0.1)
    finally:
        await consumer._client.close()


def _running(consumer: AIOKafkaConsumer) -> list[asyncio.Task[Any]]:
    coordinator = consumer._coordinator
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    tasks = [getattr(coordinator, name, None) for name in names]
    if consumer._fetcher is not None:
        tasks += [consumer._fetcher._fetch_task, *consumer._fetcher._pending_tasks]
    return [task for task in tasks if task is not None and not task.done()]


async def end_producer(producer: Producer) -> None:
    """At once; raises nothing. What it still holds must not land minutes later."""
    await _ended(producer.close(), IN_ORDER)


async def stop_admin(admin: AIOKafkaAdminClient, seconds: float) -> None:
    """Disconnect; raises nothing."""
    await _ended(admin.close(), seconds)


async def _ended(ending: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Whether it came to its end in time and without an error.

    In a task of its own: aiokafka awaits tasks that it has cancelled, and what comes out of that is a
    `CancelledError` which nobody has asked for, and which would end whoever stops the client.
    """
    task = asyncio.ensure_future(ending)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    if task.cancelled():
        return False
    if (error := task.exception()) is not None:
        log.info("a client of Kafka did not end in order: %s: %s", type(error).__name__, error)
        return False
    return True
