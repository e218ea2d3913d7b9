"""Long work beside the loop: what is different while it is done, and that it is put back."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading

import pytest

from mesh_gateway.gateway.aside import NEVER, SWITCH_SECONDS, aside
from tests.harness import PATIENCE


def settings() -> tuple[float, tuple[int, int, int]]:
    return sys.getswitchinterval(), gc.get_threshold()


async def test_meanwhile_threads_switch_often_and_nothing_goes_through_all_objects():
    before = settings()

    switch, (young, middle, full) = await aside(settings)

    assert switch == pytest.approx(SWITCH_SECONDS)
    assert full == NEVER
    assert (young, middle) == before[1][:2], "what is young is still collected"
    assert settings() == before


async def test_it_is_as_before_after_work_that_fails():
    before = settings()

    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0)

    assert settings() == before


async def test_it_is_as_before_when_nobody_waits_for_the_work_any_more():
    before = settings()
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait()

    waiting = asyncio.ensure_future(aside(work))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert settings() == before
    over.set()


def test_a_process_ends_although_what_was_begun_aside_hangs():
    program = """if True:
        import asyncio, threading
        from mesh_gateway.gateway.aside import aside

        async def main():
            begun = threading.Event()

            def hangs():
                begun.set()
                threading.Event().wait()

            waiting = asyncio.ensure_future(aside(hangs))
            while not begun.is_set():
                await asyncio.sleep(0)
            waiting.cancel()

        asyncio.run(main())
    """
    ended = subprocess.run([sys.executable, "-c", program], timeout=PATIENCE, check=False)

    assert ended.returncode == 0
