"""A sink that a plugin brought: what goes wrong in it is the end of an attempt of its own trigger, and of nobody else.

Attempts begin in the reader that a broker's triggers share, and end in callbacks that others wait behind.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from mesh_gateway.delivery.sink import Ended, Outcome, Retry, Sink
from mesh_gateway.event import Event
from mesh_gateway.gateway.supervise import summary

log = structlog.get_logger("mesh_gateway.trigger")

CLOSE_SECONDS = 5.0
"""For a sink to close; what it has not ended by then is ended for it."""


class _Attempt:
    """One that has not ended."""

    __slots__ = ("context", "ended")

    def __init__(self, context: Any, ended: Ended) -> None:
        self.context = context
        self.ended = ended


class Contained:
    """Implements `Sink` over one that may not."""

    def __init__(self, sink: Sink) -> None:
        self.address = sink.address
        self._sink = sink
        self._open: set[_Attempt] = set()
        self._told = False

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        """As `Sink.send`; one that cannot begin has failed, and is tried again as any other."""
        attempt = _Attempt(context, ended)
        self._open.add(attempt)
        try:
            self._sink.send(event, attempt, self._ended)
        except Exception as error:  # noqa: BLE001  # a plugin's code
            self._tell(error)
            outcome = Retry(f"the sink has failed: {type(error).__name__}")
            asyncio.get_running_loop().call_soon(self._ended, attempt, outcome)

    def _ended(self, attempt: Any, outcome: Outcome) -> None:
        if attempt in self._open:  # only its first end counts
            self._open.remove(attempt)
            attempt.ended(attempt.context, outcome)

    async def close(self) -> None:
        """As `Sink.close`."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._sink.close()
        except Exception as error:  # noqa: BLE001  # a plugin's code
            self._tell(error)
        for attempt in list(self._open):
            self._ended(attempt, Retry("closed"))

    def _tell(self, error: Exception) -> None:
        """Once: what it means for each event is told with its retries and dead letter."""
        if not self._told:
            self._told = True
            log.error("a sink has failed", sink=self.address, error=summary(error), exc_info=error)
