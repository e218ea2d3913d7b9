"""Whether the cluster is still there. aiokafka reconnects by itself and says nothing, for hours; the gateway has to
know, so that producers are answered 503 at once and readiness tells the truth.
"""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from mesh_gateway.errors import ConnectionLost

EVERY = 2.0
"""Seconds between looks: one small request each."""

ANSWER_SECONDS = 5.0
"""For one answer."""

MISSES = 2
"""In a row before the cluster is lost: one broker that restarts is no outage."""


class Watch:
    """`run` has one owner; `check` raises `ConnectionLost` once the cluster does not answer any more."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin
        self._lost: str | None = None

    @property
    def lost(self) -> bool:
        """Whether the cluster does not answer any more."""
        return self._lost is not None

    def check(self) -> None:
        """Raises `ConnectionLost`."""
        if self._lost is not None:
            raise ConnectionLost(self._lost, retry_after=1)

    async def run(self) -> None:
        """Look until cancelled, or until the cluster is lost."""
        missed = 0
        while missed < MISSES:
            await asyncio.sleep(EVERY)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    # Of none: `describe_cluster` has all topics of the cluster come, and reads them, to throw them away.
                    await self._admin.describe_topics([])
            except Exception as error:  # noqa: BLE001  # uvloop's words for a connection that has ended are a RuntimeError
                # Whatever it is: nobody looks after this task, and without it an outage would be noticed by nobody.
                missed += 1
                why = f"{type(error).__name__} {error}".strip()
            else:
                missed = 0
        self._lost = f"Kafka does not answer any more ({why})"
