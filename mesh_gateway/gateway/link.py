"""One transport, kept open: connects, makes its channels, and reopens what was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from mesh_gateway.errors import ChannelGone, ConnectionLost, StoreDamaged, TransportError
from mesh_gateway.gateway.supervise import leaves
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
        """A channel that serves while this transport is up."""
        channel = Channel(spec, self.transport, lost=self.report)
        self.channels.append(channel)
        return channel

    def report(self, error: TransportError) -> None:
        """A publish or a reader has met this error."""
        self.errors += 1
        if isinstance(error, ConnectionLost) and self.up.is_set():
            self._error = error
            self._broken.set()

    async def run(self) -> None:
        """Open, serve until the connection is lost, then raise it. Cancelling closes in order."""
        self._broken.clear()
        try:
            await self.transport.open()
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
            await self._close()

    async def _make(self, channels: Sequence[Channel]) -> None:
        """Ensure all channels at once; the transport batches what it can."""
        if self.ensure is Ensure.OFF:
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(self._make_one(channel.spec)) for channel in channels]
        except* TransportError as group:
            raise leaves(group)[0] from None
        self.drifts = [drift for task in made for drift in task.result()]
        for drift in self.drifts:
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

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.transport.close()
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
