"""Keeping one part running: back off and go on when its transport fails, give up when the fault is ours.

A `TransportError` is weather: the part is started again, with growing pauses, for ever. Any other
exception is a bug: it is logged once with its traceback, the part is restarted a few times, and
then it stays `failed` — visible in status and readiness, its neighbours untouched, its events
unsettled.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from mesh_gateway.errors import TransportError

log = structlog.get_logger("mesh_gateway.supervise")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Seconds: 0.2, 0.4 … 5, ±20 %. A broker is used again within seconds of its return, however long
it was away, and costs twelve connection attempts a minute until then."""

CALM = 60.0
"""A part that ran this long before it failed starts again with the first pause."""

RESTARTS = 3
"""A bug that shows again each time is not cured by a fourth start."""


@dataclass(slots=True)
class Part:
    """What can be said of one supervised part."""

    name: str
    state: Literal["starting", "running", "waiting", "failed", "stopped"] = "starting"
    error: str = ""
    restarts: int = 0

    @property
    def ok(self) -> bool:
        return self.state in ("starting", "running")


async def supervise(
    part: Part,
    work: Callable[[], Awaitable[None]],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> None:
    """Run `work` until it returns, fails for good, or this is cancelled; never raises an `Exception`."""
    bugs = failures = 0
    try:
        while True:
            part.state = "running"
            began = time.monotonic()
            try:
                await _by_itself(part, work)
            except Exception as error:  # the one place where any exception ends
                if time.monotonic() - began > CALM:
                    bugs = failures = 0
                failures += 1
                part.restarts += 1
                part.error = summary(error)
                if not only_transport(error):
                    bugs += 1
                    if bugs == 1:
                        log.error(
                            "a part failed unexpectedly", part=part.name, error=part.error, exc_info=error
                        )
                    if bugs > RESTARTS:
                        part.state = "failed"
                        log.error("a part has failed for good", part=part.name, error=part.error)
                        return
                elif failures == 1:
                    log.warning("a part waits for its transport", part=part.name, error=part.error)
                part.state = "waiting"
                pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)
                await sleep(pause * (0.8 + 0.4 * chance()))
            else:
                part.state = "stopped"
                return
    except asyncio.CancelledError:
        part.state = "stopped"
        raise


async def _by_itself(part: Part, work: Callable[[], Awaitable[None]]) -> None:
    """`work` in a task of its own, so that being told to end is never taken for what happens in there, nor the other way round.

    Told to end, it has ended when `work` has, in whatever way: a last settle that fails is no reason to begin again. And a
    cancellation that nobody has asked for is a bug like any other, and not an end in order: it comes out of a client library
    that awaits a task which it has cancelled itself. The task that it hits cannot tell: before Python 3.13 a task group that
    has failed leaves it counted as being cancelled.
    """
    working = asyncio.ensure_future(_only(work))
    told: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait((working,))
        except asyncio.CancelledError as cancelled:
            told = cancelled
            working.cancel()
    if told is None:
        if working.cancelled():
            raise cancelled_by_itself()
        working.result()
        return
    if not working.cancelled() and (error := working.exception()) is not None:
        log.warning("a part did not end in order", part=part.name, error=summary(error))
    raise told


async def _only(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def cancelled_by_itself() -> RuntimeError:
    """What is raised instead of a cancellation that nobody has asked for."""
    return RuntimeError("was cancelled by something that it called")


def only_transport(error: BaseException) -> bool:
    """Whether nothing but transport errors is in it (a TaskGroup wraps them)."""
    return all(isinstance(leaf, TransportError) for leaf in leaves(error))


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def summary(error: BaseException) -> str:
    """One sentence for status and logs."""
    error = leaves(error)[0]
    text = str(error) or type(error).__name__
    return text if isinstance(error, TransportError) else f"{type(error).__name__}: {text}"
