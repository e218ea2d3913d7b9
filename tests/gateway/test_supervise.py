"""Supervision: weather is waited out for ever, a bug three times, and neighbours never notice."""

from __future__ import annotations

import asyncio

import pytest

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.gateway.supervise import LONGEST_PAUSE, RESTARTS, Part, supervise
from tests.harness import PATIENCE


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


async def test_a_part_that_fails_while_it_is_being_cancelled_has_ended_and_is_not_started_again():
    part, runs, began = Part("p"), 0, asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            if runs == 1:
                raise ConnectionLost("what was settled last cannot be written")

    running = asyncio.ensure_future(supervise(part, work, sleep=Pauses()))
    await began.wait()
    running.cancel()
    await asyncio.wait([running], timeout=PATIENCE)

    assert running.done()
    assert (runs, part.state) == (1, "stopped")


async def test_a_cancellation_that_nobody_asked_for_is_a_bug_also_after_a_task_group_has_failed():
    part, runs = Part("p"), 0

    async def fails() -> None:
        raise ConnectionLost("down")

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fails())
        if runs == 2:
            raise asyncio.CancelledError

    await asyncio.wait([asyncio.ensure_future(supervise(part, work, sleep=Pauses()))])

    assert (runs, part.state) == (3, "stopped")


async def test_a_part_that_is_told_to_end_while_it_cleans_up_after_a_failure_is_not_started_again():
    part, runs = Part("p"), 0
    closing, closed = asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        raise ConnectionLost("down")

    async def slow_to_close() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closing.set()
            await closed.wait()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(slow_to_close())
            tasks.create_task(fails())

    running = asyncio.ensure_future(supervise(part, work, sleep=Pauses()))
    await closing.wait()
    running.cancel()
    await asyncio.sleep(0)
    closed.set()
    await asyncio.wait([running], timeout=PATIENCE)

    assert running.done()
    assert (runs, part.state) == (1, "stopped")
