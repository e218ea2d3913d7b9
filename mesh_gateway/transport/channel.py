"""A named channel as the core uses it: batched publishing with a deadline, refusing fast while the transport is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from mesh_gateway.errors import ConnectionLost, MeshError, PublishError, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import Done, GroupCommit
from mesh_gateway.transport.contract import ChannelSpec, Choose, Remembering, Start, Subscription, Transport

PUBLISH_DEADLINE = 30.0
"""Seconds after which the outcome of one publish is called unknown. A producer is answered much
sooner (`ingress.publishTimeout`); this bounds how long one stuck batch holds back the next."""


class Channel:
    """Publishes to one channel of a transport, and subscribes to it.

    While the transport is down (`refuse`), publishing fails at once instead of queueing: the
    backlog belongs into a durable channel, not into memory. `run` is the committer; it has one
    owner. `lost` is told every transport error, so that whoever keeps the transport open can act.
    """

    def __init__(
        self,
        spec: ChannelSpec,
        transport: Transport,
        *,
        lost: Callable[[TransportError], None] = lambda error: None,
        deadline: float = PUBLISH_DEADLINE,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.transport = transport
        self._lost = lost
        self._deadline = deadline
        self._refusal: TransportError | None = ConnectionLost(
            f"{spec.name}: the transport is not connected yet", retry_after=1
        )
        self._commit = GroupCommit(
            self._publish_batch, max_batch=transport.capabilities.max_batch, deadline=deadline
        )

    def serve(self) -> None:
        """The transport is up: publish from now on."""
        self._refusal = None

    def refuse(self, error: TransportError) -> None:
        """The transport is down: fail with `error` from now on."""
        self._refusal = error

    @property
    def up(self) -> bool:
        return self._refusal is None

    def publish(self, event: Event, done: Done) -> None:
        """Store one event; `done(None)` once it is durable, else `done(error)`. Never calls back at once."""
        if self._refusal is not None:
            asyncio.get_running_loop().call_soon(done, self._refusal)
            return
        self._commit.add(event, done)

    def publish_all(self, events: Sequence[Event], done: Done) -> None:
        """Store several events with one ending: durable only if all are. Never calls back at once."""
        if self._refusal is not None:
            asyncio.get_running_loop().call_soon(done, self._refusal)
            return
        self._commit.add_all(events, done)

    async def put(self, events: Sequence[Event]) -> None:
        """Store these events; durable when it returns. Raises `TransportError`. Cancelling it leaves the outcome unknown."""
        ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: MeshError | None) -> None:
            if ending.done():
                return
            if error is None:
                ending.set_result(None)
            else:
                ending.set_exception(error)

        self.publish_all(events, done)
        await ending

    async def put_each(self, events: Sequence[Event]) -> list[MeshError | None]:
        """Store these events, each by itself: for each, in order, None once it is durable, else why not.

        Raises nothing. Cancelling it leaves their outcomes unknown.
        """
        if not events:
            return []
        outcomes: list[MeshError | None] = [None] * len(events)
        left = len(events)
        all_told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(index: int, error: MeshError | None) -> None:
            nonlocal left
            outcomes[index] = error
            left -= 1
            if left == 0 and not all_told.done():
                all_told.set_result(None)

        for index, event in enumerate(events):
            self.publish(event, partial(told, index))
        await all_told
        return outcomes

    async def put_chosen(self, choose: Choose, *, size: int) -> None:
        """Store what `choose` chooses, as `Remembering.publish_chosen`, within the deadline; then the outcome is unknown.

        Raises `TransportError`: `Unsupported` on a transport that cannot remember.
        """
        if self._refusal is not None:
            raise self._refusal
        if not isinstance(self.transport, Remembering):
            raise Unsupported(f"{self.name}: its transport cannot remember where events came from")
        try:
            async with asyncio.timeout(self._deadline):
                await self.transport.publish_chosen(self.name, choose, size=size)
        except TimeoutError:
            raise PublishError(
                f"no answer from the transport within {self._deadline:g} s", unknown=(0,)
            ) from None
        except PublishError:
            raise
        except TransportError as error:
            self._lost(error)
            raise

    async def subscribe(self, group: str, start: Start) -> Subscription:
        """Read this channel as `group`. Raises `TransportError`."""
        return await self.transport.subscribe(self.name, group, start)

    async def flushed(self) -> None:
        """Returns once every publish that was begun has ended."""
        await self._commit.flushed()

    async def run(self) -> None:
        """Commit batches until cancelled."""
        await self._commit.run()

    async def _publish_batch(self, events: Sequence[Event]) -> None:
        try:
            await self.transport.publish(self.name, events)
        except PublishError:
            raise
        except TransportError as error:
            self._lost(error)
            raise
