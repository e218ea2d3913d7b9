"""The transport `example`: what the gateway asks of it, one call each, no retries and no policy.

Read `mesh_gateway.transport.contract` first: it says what each of these methods owes. The kit in `tests/` holds you to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh_gateway.errors import ChannelGone, ConnectionLost, InvalidEvent, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    LATEST,
    Capabilities,
    ChannelSpec,
    Check,
    Delivery,
    Drift,
    Ensure,
    Level,
    Start,
    TransportContext,
    dead_letters_of,
)
from mesh_gateway.wire.stored import decode, encode
from mesh_gateway.wire.unreadable import wrapped

from .options import ExampleOptions
from .server import SERVERS, Channel

WAIT_SECONDS = 1.0
"""How long `receive` waits for something to come, as the contract has it."""


class ExampleTransport:
    """Implements `Transport`. Add `Browsable` and `Removable` (for `mesh-gateway dlq`) and `Measurable` when you can."""

    # Declare what is true of your broker, or less; the kit fails a transport that declares more.
    capabilities = Capabilities(ordering="none", settle="individual", groups=True)

    def __init__(self, options: ExampleOptions, context: TransportContext) -> None:
        self._options = options
        self._context = context
        self._channels: dict[str, Channel] | None = None
        self.subscriptions: set[ExampleSubscription] = set()

    async def open(self) -> None:
        """Connect. Yours raises `ConnectionLost` or `NotPermitted` within five seconds."""
        self._channels = SERVERS.setdefault(self._options.server, {})

    async def close(self) -> None:
        """Flush and disconnect; what is unsettled comes again."""
        for subscription in list(self.subscriptions):
            await subscription.close()
        self._channels = None

    async def check(self) -> list[Check]:
        """Works before `open`, too; raises nothing."""
        detail = f"{self._options.server} answers"
        return [Check("example", Level.CONNECT, ok=True, detail=detail)]

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """Make the channel and its groups, or look whether they are there. Differences are returned, not raised."""
        if mode is Ensure.VERIFY:
            self.channel(channel.name)
        elif mode is Ensure.CREATE:
            made = self._serving().setdefault(channel.name, Channel())
            for group in channel.groups:
                made.begin(group, earliest=True)
        return []

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """Durable on return. Where only some were stored, or nobody knows: `PublishError` with their indexes."""
        self.channel(channel).append([encode(event) for event in events])

    async def subscribe(self, channel: str, group: str, start: Start) -> ExampleSubscription:
        """`start` counts only for a group that is not there yet."""
        found = self.channel(channel)
        if group not in found.groups and start not in (EARLIEST, LATEST):
            raise Unsupported(f"a new group begins at the earliest or the latest event, not at a {start.at}")
        found.begin(group, earliest=start == EARLIEST)
        subscription = ExampleSubscription(self, channel, group)
        self.subscriptions.add(subscription)
        return subscription

    async def bury(self, channel: str, position: int, raw: bytes, why: str) -> None:
        """A record that is no event waits with the dead letters, bytes and all, so that the others go on."""
        letter = wrapped(raw, channel=channel, position=str(position), why=why, headers={})
        await self.publish(dead_letters_of(channel), [letter])
        self._context.on_unreadable(channel, why)

    def channel(self, name: str) -> Channel:
        """Raises `ConnectionLost`, `ChannelGone`."""
        found = self._serving().get(name)
        if found is None:
            raise ChannelGone(f"there is no channel {name} on {self._options.server}")
        return found

    def _serving(self) -> dict[str, Channel]:
        if self._channels is None:
            raise ConnectionLost("example is not connected", retry_after=1)
        return self._channels


class ExampleSubscription:
    """Implements `Subscription`. `_held` are the positions that were handed out and have no end yet."""

    def __init__(self, transport: ExampleTransport, channel: str, group: str) -> None:
        self._transport = transport
        self._name, self._group = channel, group
        self._channel = transport.channel(channel)
        self._held: set[int] = set()
        self._closed = False

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Up to `limit` events; may be empty. Cancelling it loses nothing: nothing is taken before the wait is over."""
        self._check()
        positions = self._channel.take(self._group, limit)
        if not positions:
            await self._channel.arrival(WAIT_SECONDS)
            if self._closed:
                return ()
            positions = self._channel.take(self._group, limit)
        self._held.update(positions)
        found = [await self._delivery(position) for position in positions]
        return [delivery for delivery in found if delivery is not None]

    async def _delivery(self, position: int) -> Delivery | None:
        moment, raw = self._channel.records[position]
        try:
            event = decode(raw)
        except InvalidEvent as error:
            await self._transport.bury(self._name, position, raw, str(error))
            self._held.discard(position)
            return None
        return Delivery(event, position, str(position), event.attributes.get("partitionkey"), None, moment)

    async def settle(self, done: Sequence[Delivery]) -> None:
        """They never come again."""
        self._check()
        self._held.difference_update(delivery.token for delivery in done)

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """They come again, to anybody in the group."""
        self._check()
        if delay:
            raise Unsupported("example holds no event back; release it without a delay")
        mine = self._held & {delivery.token for delivery in back}
        self._held -= mine
        self._channel.give_back(self._group, mine)

    async def close(self) -> None:
        """What is unsettled is for the group's next subscription."""
        if not self._closed:
            self._closed = True
            self._transport.subscriptions.discard(self)
            self._channel.give_back(self._group, self._held)
            self._held = set()

    def _check(self) -> None:
        if self._closed:
            raise ConnectionLost("the subscription is closed")
