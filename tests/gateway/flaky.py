"""A transport that is down when the test says so: the embedded one behind a switch."""

from __future__ import annotations

from collections.abc import Sequence

from mesh_gateway.errors import ConnectionLost, StoreFull
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Start, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.transport import EmbeddedTransport


class FlakyTransport(EmbeddedTransport):
    """`down` refuses connections and publishes; when it is `full`, what was settled last cannot be written, once."""

    made: list[FlakyTransport] = []  # noqa: RUF012  # the test's way to the one that assembly made
    down = True
    full = False

    def __init__(self, options: EmbeddedOptions, context: TransportContext) -> None:
        super().__init__(options, context)
        self.opened = 0
        self.context = context
        FlakyTransport.made.append(self)

    async def open(self) -> None:
        if self.down:
            raise ConnectionLost("nobody there")
        self.opened += 1
        await super().open()

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        if self.down:
            raise ConnectionLost("gone")
        await super().publish(channel, events)

    async def subscribe(self, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        subscription = await super().subscribe(channel, group, start)
        close = subscription.close

        async def closed() -> None:
            await close()
            if self.full:
                self.full = False
                raise StoreFull("no room to write what was settled")

        subscription.close = closed  # type: ignore[method-assign]
        return subscription
