"""Supervision: weather is waited out for ever, a bug three times, and neighbours never notice."""

from __future__ import annotations

import asyncio

import pytest

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.gateway.supervise import LONGEST_PAUSE, RESTARTS, Part, supervise


class Pauses(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


async def test_transport_errors_are_waited_out_with_growing_pauses():
    part, pauses = Part("p"), Pauses()
    failures = 12

    async def work() -> None:
        if len(pauses) < failures:
            raise ConnectionLost("down")

    await supervise(part, work, sleep=pauses, chance=lambda: 0.5)

    assert part.state == "stopped"
    assert part.restarts == failures
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.2)
    assert max(pauses) == LONGEST_PAUSE


async def test_a_bug_is_given_up_after_a_few_restarts_and_stays_visible():
    part, starts = Part("p"), 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        raise ValueError("bug")

    await supervise(part, work, sleep=Pauses())

    assert part.state == "failed"
    assert part.error == "ValueError: bug"
    assert starts == RESTARTS + 1


async def test_a_transport_error_inside_a_task_group_is_still_weather():
    part, pauses = Part("p"), Pauses()

    async def work() -> None:
        if len(pauses) < RESTARTS + 5:
            raise ExceptionGroup("tasks", [ConnectionLost("down")])

    await supervise(part, work, sleep=pauses)

    assert part.state == "stopped"


async def test_being_cancelled_is_the_end():
    part = Part("p")
    running = asyncio.ensure_future(supervise(part, asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert part.state == "stopped"


async def test_a_cancellation_that_nobody_asked_for_is_a_bug_and_the_part_is_started_again():
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError

    async def sleep(seconds: float) -> None: ...

    part = Part("p")
    await supervise(part, work, sleep=sleep)

    assert (runs, part.state) == (2, "stopped")
