"""The tasks of a running gateway, one for each part: what begins waits for its namesake to have left, and for its channels.

A part that is leaving keeps its task until it has gone, and another task sees to it that it goes. All of them are children
of one task group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from mesh_gateway.gateway.leaving import Task, Work, end
from mesh_gateway.gateway.supervise import Part, supervise

T = TypeVar("T")


class Tasks:
    """Those of one gateway. Whoever opens `group` sets it before anything starts, and ends all that runs in it."""

    def __init__(self) -> None:
        self.group: asyncio.TaskGroup
        self.supervised: dict[str, Part] = {}
        """What can be said of each part, and of each way out, by name."""
        self.running: dict[Any, Task] = {}
        """Of each part that runs, also of one that is leaving, its task."""
        self.going: set[Task] = set()
        """All that see to it that something goes."""
        self._parts: dict[Any, Part] = {}
        self._leaving: dict[str, set[Task]] = {}
        """By name: a part of the same name does not begin before those have gone."""
        self._made: dict[object, asyncio.Event] = {}
        """Of each channel that joined a running gateway: set once it is there."""

    # ── beginning ────────────────────────────────────────────────────────────────────────────

    def start(
        self,
        what: object,
        name: str,
        work: Work,
        *,
        needs: Iterable[object] = (),
        patience: float | None = None,
    ) -> None:
        """Give a part its task, unless it has one. It begins once the channels that it needs are there and its namesake
        has left, for which it waits `patience` seconds at most.
        """
        if what in self.running:
            return
        waits = [self._made[channel] for channel in needs if channel in self._made]
        leaving = set(self._leaving.get(name, ()))

        async def in_turn() -> None:
            if leaving:
                await asyncio.wait(leaving, timeout=patience)
            for made in waits:
                await made.wait()
            await work()

        part = self.supervised[name] = self._parts[what] = Part(name)
        self.running[what] = self.group.create_task(supervise(part, in_turn), name=name)

    def joins(self, channel: object) -> asyncio.Event:
        """For a channel that is to start: to be set once it is there. Who needs it waits for that."""
        made = self._made[channel] = asyncio.Event()
        return made

    def start_anew(self, what: object, name: str, work: Work) -> None:
        """End the part's task; another begins when that has ended."""
        closing = self.running.pop(what)
        closing.cancel()
        self._has_to_go_first([name], closing)
        self.start(what, name, work)

    def start_closing(self, what: object, name: str, work: Work) -> None:
        """Give a task to what is of no part any more; it is forgotten with its end."""
        task = self.group.create_task(supervise(Part(name), work))
        self.running[what] = task
        task.add_done_callback(lambda done: self.running.pop(what, None))

    # ── leaving ──────────────────────────────────────────────────────────────────────────────

    def let_go(self, what: Sequence[object], names: Sequence[str], work: Work) -> Task:
        """Have `work` let these go; parts with these names, which are theirs, begin only when it is done."""
        part = Part(f"leaving: {' and '.join(names) or 'what those that left have used'}")
        for one in what:
            self._forget(self._parts[one])
        self.supervised[part.name] = part
        task = self.group.create_task(supervise(part, work), name=part.name)
        self._has_to_go_first(names, task)
        self.going.add(task)
        task.add_done_callback(lambda done: self._gone(what, part, done))
        return task

    def _has_to_go_first(self, names: Sequence[str], task: Task) -> None:
        for name in names:
            leaving = self._leaving.setdefault(name, set())
            leaving.add(task)
            task.add_done_callback(partial(self._has_gone, name))

    def _has_gone(self, name: str, task: Task) -> None:
        leaving = self._leaving[name]
        leaving.discard(task)
        if not leaving:
            del self._leaving[name]

    def _gone(self, what: Sequence[object], leaving: Part, done: Task) -> None:
        self.going.discard(done)
        for one in what:
            if self.running[one].done():  # not when all of it was told to stop meanwhile
                del self.running[one]
                self._made.pop(one, None)
                self._forget(self._parts.pop(one))
        if leaving.state != "failed":
            self._forget(leaving)

    def _forget(self, part: Part) -> None:
        if self.supervised.get(part.name) is part:
            del self.supervised[part.name]

    # ── what runs ────────────────────────────────────────────────────────────────────────────

    def of(self, kind: type[T]) -> list[T]:
        """The running parts of this kind, also those that are leaving."""
        return [what for what in self.running if isinstance(what, kind)]

    async def end(self, kind: type) -> None:
        """End all parts of this kind."""
        await end([task for what, task in self.running.items() if isinstance(what, kind)])
