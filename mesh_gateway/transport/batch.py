"""Group commit: whatever arrives while one publish runs goes out together in the next.

There is no linger setting. At low load a batch holds one event and waits for no timer; at high
load batches grow by themselves, because more arrives during a publish. Events come in and
endings go out by callback, so that an event costs two list appends and no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mesh_gateway.errors import MeshError, PublishError, TransportError
from mesh_gateway.event import Event

Done = Callable[[MeshError | None], None]
"""Told once: None = durable, else why not. Must not raise."""


class GroupCommit:
    """Joins events into batches for `publish`, one batch at a time.

    `add` and `add_all` may be called from any callback of the event loop; `run` is awaited by
    one owner. When `run` is cancelled, everything still waiting is told that its outcome is
    unknown, and from then on, until it is run again, whatever comes that it has failed.
    """

    def __init__(
        self, publish: Callable[[Sequence[Event]], Awaitable[None]], *, max_batch: int, deadline: float
    ) -> None:
        self._publish = publish
        self._max_batch = max_batch
        self._deadline = deadline
        self._events: list[Event] = []
        self._waiters: list[Done] = []
        self._ended: PublishError | None = None
        """What comes is told; None before the first run and during each."""
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, event: Event, done: Done) -> None:
        """Join the open batch; `done` is called after its publish."""
        if self._ended is not None:
            asyncio.get_running_loop().call_soon(done, self._ended)
            return
        self._events.append(event)
        self._waiters.append(done)
        self._wake.set()

    def add_all(self, events: Sequence[Event], done: Done) -> None:
        """As `add`, for several events with one ending: durable only if all are."""
        if not events:
            asyncio.get_running_loop().call_soon(done, None)
            return
        if self._ended is not None:
            asyncio.get_running_loop().call_soon(done, self._ended)
            return
        together = _Together(len(events), done)
        self._events.extend(events)
        self._waiters.extend([together] * len(events))
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Events in the open batch."""
        return len(self._events)

    async def flushed(self) -> None:
        """Returns once nothing is waiting and no publish is under way."""
        while self._events or not self._idle.is_set():
            await self._idle.wait()
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Publish batch after batch until cancelled."""
        self._ended = None
        try:
            while True:
                await self._wake.wait()
                self._idle.clear()
                # One look at the sockets (uvloop's; the standard loop looks after the next): what they hold by now came while
                # the last batch was published and told of. With 64 producers over Kafka that made batches of 50 events
                # where they were of 32, and took a quarter off the whole gateway's CPU; over the embedded store, 6 %.
                await asyncio.sleep(0)
                events, waiters = self._take()
                tell(waiters, await self._outcome(events, waiters))
                if not self._events:
                    self._wake.clear()
                    self._idle.set()
        finally:
            self._ended = PublishError("the channel is closed", failed=(0,), retry_after=1)
            self._idle.set()
            waiters, self._waiters, self._events = self._waiters, [], []
            tell(waiters, PublishError("the channel was closed", failed=range(len(waiters))))

    def _take(self) -> tuple[list[Event], list[Done]]:
        limit = self._max_batch
        if len(self._events) <= limit:
            events, waiters = self._events, self._waiters
            self._events, self._waiters = [], []
        else:
            events, waiters = self._events[:limit], self._waiters[:limit]
            del self._events[:limit]
            del self._waiters[:limit]
        return events, waiters

    async def _outcome(self, events: list[Event], waiters: list[Done]) -> TransportError | None:
        try:
            async with asyncio.timeout(self._deadline):
                await self._publish(events)
        except TimeoutError:
            return PublishError(
                f"no answer from the transport within {self._deadline:g} s", unknown=range(len(events))
            )
        except TransportError as error:
            return error
        except BaseException:
            # Cancelled, or a bug in a plugin: nobody can know what was stored.
            tell(waiters, PublishError("publishing was interrupted", unknown=range(len(events))))
            raise
        return None


def tell(waiters: Sequence[Done], error: TransportError | None) -> None:
    """Give each waiter its own ending: of a `PublishError`, only the events it names have failed."""
    if isinstance(error, PublishError):
        bad, refused = error.failed | error.unknown, error.refused
        for index, done in enumerate(waiters):
            done(error if index in bad else refused.get(index))
        return
    for done in waiters:
        done(error)


class _Together:
    """Several events, one ending: the first error, after the last event is known."""

    __slots__ = ("_done", "_error", "_left")

    def __init__(self, count: int, done: Done) -> None:
        self._left = count
        self._done = done
        self._error: MeshError | None = None

    def __call__(self, error: MeshError | None) -> None:
        self._left -= 1
        self._error = self._error or error
        if self._left == 0:
            self._done(self._error)
