"""The manual clock with sleeping: time passes in steps, and whoever a step wakes has done its work before the next."""

from __future__ import annotations

import asyncio

from mesh_gateway.testing.clock import ManualClock


class HandClock(ManualClock):
    """What `SqsTransport` sleeps on in these tests, and by which the fake's visibility ends."""

    def __init__(self) -> None:
        super().__init__()
        self._asleep: set[asyncio.Task[object]] = set()
        self._waking: set[asyncio.Task[object]] = set()
        self._news = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        over = asyncio.Event()

        def wake() -> None:
            self._asleep.discard(task)
            self._waking.add(task)
            over.set()

        timer = self.call_at(self.time() + seconds, wake)
        self._asleep.add(task)
        self._waking.discard(task)
        task.add_done_callback(self._ended)
        self._news.set()
        try:
            await over.wait()
        finally:
            timer.cancel()
            self._asleep.discard(task)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._waking.discard(task)
        self._news.set()

    async def let_pass(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass. Not from a task that sleeps on this clock."""
        end = self.time() + seconds
        while self.time() < end:
            self.advance(min(step, end - self.time()))
            while self._waking:
                await self._happens()

    async def sleeping(self, count: int) -> None:
        """Wait until so many tasks sleep."""
        while len(self._asleep) < count:
            await self._happens()

    async def _happens(self) -> None:
        """Raises `TimeoutError` where nothing does."""
        self._news.clear()
        async with asyncio.timeout(20):
            await self._news.wait()
