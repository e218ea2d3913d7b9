"""Requests of ten entries each: several of them under way at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from mesh_gateway.errors import TransportError

BATCH = 10
"""Entries of one request, by SQS's own rule."""

AT_ONCE = 8
"""Requests of one call under way: at 10 ms each that is 8,000 events a second, over as many connections."""

T = TypeVar("T")


def tens(entries: Sequence[T]) -> list[Sequence[T]]:
    """In order, ten of them at a time."""
    return [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]


async def each(
    batches: Sequence[Sequence[T]], do: Callable[[Sequence[T]], Awaitable[None]], *, at_once: int = AT_ONCE
) -> None:
    """Do it with every batch. Raises the first `TransportError`, when all have ended."""
    if len(batches) == 1:
        await do(batches[0])
        return
    left = iter(batches)
    errors: list[TransportError] = []

    async def some() -> None:
        for batch in left:
            try:
                await do(batch)
            except TransportError as error:
                errors.append(error)

    # As many tasks as requests at once, not one for each batch.
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(at_once, len(batches))):
            tasks.create_task(some())
    if errors:
        raise errors[0]
