"""One transport, kept open: connects, makes its channels, and reopens what was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from mesh_gateway.errors import ChannelGone, ConnectionLost, StoreDamaged, TransportError
from mesh_gateway.gateway.supervise import cancelled_by_itself, leaves
from mesh_gateway.transport.channel import Channel
from mesh_gateway.transport.contract import ChannelSpec, Drift, Ensure, Transport

log = structlog.get_logger("mesh_gateway.transport")

CLOSE_SECONDS = 30.0
"""For a transport to close. Longer than any of ours takes over a dead connection (two steps of ten seconds), and an
end all the same to one that hangs: nothing is opened anew before it has closed."""


class Link:
    """Owns one transport. `run` is supervised: it raises when the connection is lost and is run again."""

    def __init__(
        self,
        name: str,
        kind: str,
        transport: Transport,
        ensure: Ensure,
        on_fatal: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.transport = transport
        self.ensure = ensure
        self.channels: list[Channel] = []
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        """The opposite of `up`; both are set and cleared together."""
        self.down.set()
        self.detail = "not connected yet"
        self.reconnects = 0
        self.errors = 0
        self.drifts: list[Drift] = []
        self._on_fatal = on_fatal
        self._broken = asyncio.Event()
        self._error: TransportError = ConnectionLost(f"transport {name}: not connected yet")

    def channel(self, spec: ChannelSpec) -> Channel:
        """A channel that will serve while this transport is up, from when it is added."""
        return Channel(spec, self.transport, lost=self.report)

    def add(self, channel: Channel) -> None:
        """Make this channel, too, whenever the transport comes up; `join` instead when it is up already."""
        self.channels.append(channel)

    async def join(self, channel: Channel) -> None:
        """Make a channel on a transport that is up, and serve; from then on it is made with the others. One that cannot
        be made keeps no other from being served, also when the transport comes up again. Raises `TransportError`.
        """
        while True:
            made_by = channel.transport = self.transport
            await self._make([channel])
            if made_by is self.transport:  # `replace` does not know a channel that is being made
                break
        if channel not in self.channels:
            self.channels.append(channel)
        if self.up.is_set():
            channel.serve()

    def leave(self, channel: Channel) -> None:
        """Make this channel no more; it refuses. Nobody may `join` with it meanwhile."""
        if channel in self.channels:
            self.channels.remove(channel)
        self.drifts = [drift for drift in self.drifts if drift.channel != channel.name]
        channel.refuse(ConnectionLost(f"{channel.name} is not served here any more", retry_after=1))

    def replace(self, transport: Transport) -> None:
        """Use another transport of the same kind from the next `run` on; the one under way closes what it opened."""
        self._refuse()
        self.transport = transport
        for channel in self.channels:
            channel.transport = transport

    def report(self, error: TransportError) -> None:
        """A publish or a reader has met this error."""
        self.errors += 1
        if isinstance(error, ConnectionLost) and self.up.is_set():
            self._error = error
            self._broken.set()

    def while_up(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """`work`, for as long as this transport is up; the link hears of the errors it ends with.

        A subscription belongs to one connection. When that is lost, the work is cancelled and raises
        `ConnectionLost`, so that its supervisor runs it again on the next one.
        """

        async def wait_and_work() -> None:
            await self.up.wait()
            try:
                async with asyncio.TaskGroup() as tasks:
                    working = tasks.create_task(_only(work))
                    lost = tasks.create_task(self._lost())
                    working.add_done_callback(lambda ended: lost.cancel())
            except* TransportError as group:
                for error in leaves(group):
                    if isinstance(error, TransportError):
                        self.report(error)
                raise
            if working.cancelled():  # by nobody here: a task group takes that for an end in order
                raise cancelled_by_itself()

        return wait_and_work

    async def _lost(self) -> None:
        await self.down.wait()
        raise ConnectionLost(f"transport {self.name}: {self.detail or 'the connection was lost'}")

    async def run(self) -> None:
        """Open, serve until the connection is lost, then raise it. Cancelling closes in order."""
        self._broken.clear()
        transport = self.transport
        try:
            await transport.open()
            await self._make(self.channels)
            self._serve()
            await self._broken.wait()
            raise self._error
        except StoreDamaged as error:
            # Trying again would not mend it: the operator has to look.
            self.detail = str(error)
            self._on_fatal(f"transport {self.name}: {error}")
            raise
        except TransportError as error:
            self.errors += 1
            self.detail = str(error)
            raise
        finally:
            self._refuse()
            await self._close(transport)

    async def _make(self, channels: Sequence[Channel]) -> None:
        """Ensure all channels at once; the transport batches what it can."""
        if self.ensure is Ensure.OFF:
            self.drifts = []
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(self._make_one(channel.spec)) for channel in channels]
        except* TransportError as group:
            raise leaves(group)[0] from None
        names = {channel.name for channel in channels}
        found = [drift for task in made for drift in task.result()]
        self.drifts = [drift for drift in self.drifts if drift.channel not in names] + found
        for drift in found:
            log.warning(
                "a channel differs from its document",
                transport=self.name,
                channel=drift.channel,
                what=drift.what,
                wanted=drift.wanted,
                found=drift.found,
                hint=drift.hint,
            )

    async def _make_one(self, spec: ChannelSpec) -> list[Drift]:
        """A channel that is not there is no reason to refuse the others: who uses it meets the error itself."""
        try:
            return await self.transport.ensure(spec, self.ensure)
        except ChannelGone as error:
            return [Drift(spec.name, "channel", "present", "absent", str(error))]

    async def _close(self, transport: Transport) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await transport.close()
        except TimeoutError:
            log.warning("a transport did not close in time", transport=self.name, seconds=CLOSE_SECONDS)

    def _serve(self) -> None:
        self.detail = ""
        self.reconnects += 1
        for channel in self.channels:
            channel.serve()
        self.down.clear()
        self.up.set()
        log.info("transport up", transport=self.name, kind=self.kind)

    def _refuse(self) -> None:
        self.up.clear()
        self.down.set()
        refusal = ConnectionLost(f"transport {self.name} is down: {self.detail or 'closed'}", retry_after=1)
        for channel in self.channels:
            channel.refuse(refusal)


async def _only(work: Callable[[], Awaitable[None]]) -> None:
    await work()
