"""All workers asked at once, and what it means that one of them does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog

from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.workers.asking import Answer, Asking, Silent
from mesh_gateway.gateway.workers.merging import Status
from mesh_gateway.gateway.workers.metrics import Family, Incarnation, Total
from mesh_gateway.gateway.workers.worker import Worker

log = structlog.get_logger("mesh_gateway.workers")

OK = 200

UNHEARD = "it does not answer at the moment; what is shown here is without it"


class Survey:
    """Asks these workers, of which the first `serving` take connections. Everything may be called by several at a time."""

    def __init__(self, workers: Sequence[Worker], serving: int) -> None:
        self._workers = workers
        self._serving = serving
        self._was_ready = False
        """All of them, at the same time."""
        self._total = Total()
        self._scraping = asyncio.Lock()
        """What one scrape has heard is noted before the next one asks: else counters would fall."""

    async def ready(self) -> bool:
        """At first when every worker that takes connections is ready; from then on while one of them is.

        One that does not answer is not waited for: who asks may have less patience than it is given.
        """
        serving = self._workers[: self._serving]
        asked = [asyncio.create_task(_is_ready(one.asking)) for one in serving if one.up.is_set()]
        ready = 0
        try:
            for answer in asyncio.as_completed(asked):
                ready += await answer
                self._was_ready = self._was_ready or ready == self._serving
                if ready and self._was_ready:
                    return True
            return False
        finally:
            await end(asked)

    async def statuses(self) -> dict[int, Status]:
        """Of each worker that says one, by number."""
        told = await self._told("/api/v1/status")
        return {number: answer.document for (number, _), answer in told.items()}

    def documents(self, heard: Collection[int] | None = None) -> list[dict[str, Any]]:
        """What the parent knows of each worker. One that serves and is not among those `heard` is missing in what they said."""
        return [
            {
                **worker.document(),
                "ingress": worker.number < self._serving,
                **({"error": UNHEARD} if unheard(worker, heard) else {}),
            }
            for worker in self._workers
        ]

    async def families(self, local: Callable[[str], bool]) -> list[Family]:
        """Their metrics as one. `local` as for `Total.families`."""
        async with self._scraping:
            told = await self._told("/metrics")
            for life, answer in told.items():
                self._total.note(life, answer.body.decode())
            return self._total.families(told, local)

    async def _told(self, target: str) -> dict[Incarnation, Answer]:
        """What each worker answers that does, by the life in which it was asked."""
        asked = {one.incarnation: one.asking for one in self._workers if one.up.is_set()}
        answers = await asyncio.gather(*(_told(asking, target) for asking in asked.values()))
        return {life: answer for life, answer in zip(asked, answers, strict=True) if answer is not None}


def unheard(worker: Worker, heard: Collection[int] | None) -> bool:
    return heard is not None and worker.up.is_set() and worker.number not in heard


async def _told(asking: Asking, target: str) -> Answer | None:
    try:
        return await asking.get(target)
    except Silent as error:
        log.debug("a worker does not answer", reason=str(error))
        return None


async def _is_ready(asking: Asking) -> bool:
    answer = await _told(asking, "/readyz")
    return answer is not None and answer.status == OK
