"""Other documents, in all workers or in none: one goes first, the others follow, and when one refuses, all go back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from mesh_gateway.gateway.reload import CannotReload
from mesh_gateway.gateway.workers.asking import Silent
from mesh_gateway.topology.spec import GatewaySpec

log = structlog.get_logger("mesh_gateway.workers")

Share = Callable[[int], GatewaySpec]
"""Of the worker with this number."""


class Changing(Protocol):
    """What has to be known of a worker (`Worker`)."""

    number: int

    @property
    def pid(self) -> int | None: ...

    async def serve(self, share: GatewaySpec) -> str: ...

    def kill(self) -> None: ...


async def go_over(workers: Iterable[Changing], new: Share, old: Share) -> None:
    """Have those that run go over to `new`. Raises `CannotReload` when one does not: then all serve `old`.

    None may be started meanwhile. One that dies begins with what is served when this is over.
    """
    running = [worker for worker in workers if worker.pid is not None]
    if not running:
        raise CannotReload("no worker runs at the moment that could try these documents; ask again")
    went: list[Changing] = []
    for some in (running[:1], running[1:]):
        said = await asyncio.gather(*(_goes_over(worker, new) for worker in some))
        went += [worker for worker, refused in zip(some, said, strict=True) if not refused]
        refusals = _refusals(some, said)
        if refusals:
            await asyncio.gather(*(_goes_back(worker, old) for worker in went))
            raise CannotReload("; ".join(refusals))


def _refusals(workers: Sequence[Changing], said: Sequence[str]) -> list[str]:
    return [
        f"worker {worker.number}: {refused}" for worker, refused in zip(workers, said, strict=True) if refused
    ]


async def _goes_over(worker: Changing, share: Share) -> str:
    """Why it does not. One that says nothing is ended, and begins again with what is served then."""
    try:
        return await worker.serve(share(worker.number))
    except Silent as error:
        worker.kill()
        return str(error)


async def _goes_back(worker: Changing, share: Share) -> None:
    if await _goes_over(worker, share):
        log.error(
            "a worker could not go back to the documents of before and is started again", worker=worker.number
        )
        worker.kill()
