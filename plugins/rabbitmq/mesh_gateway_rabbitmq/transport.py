"""The contract over one RabbitMQ server or cluster.

publish ─▶ exchange ─▶ a quorum queue for each group ─▶ confirmed and not returned
subscribe ─▶ consumer ─▶ receive, settle ─▶ acknowledged
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pamqp import commands

from mesh_gateway.errors import ConnectionLost, NotPermitted, Throttled, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    LETTER_BYTES,
    OPERATORS,
    Backlog,
    Capabilities,
    ChannelSpec,
    Check,
    Drift,
    Ensure,
    Level,
    Purpose,
    Start,
    Stored,
    TransportContext,
    dead_letters_of,
    largest_event,
)
from mesh_gateway.transport.passphrase import no_passphrase
from mesh_gateway.wire.unreadable import in_pieces
from mesh_gateway_rabbitmq import fields, topology
from mesh_gateway_rabbitmq.checks import checks
from mesh_gateway_rabbitmq.faults import Inequivalent
from mesh_gateway_rabbitmq.knative import QUEUE_TYPE, VHOST
from mesh_gateway_rabbitmq.letters import Letters
from mesh_gateway_rabbitmq.link import Address, Channel, Link, address
from mesh_gateway_rabbitmq.names import Names, purpose
from mesh_gateway_rabbitmq.options import RabbitOptions
from mesh_gateway_rabbitmq.publisher import Publisher
from mesh_gateway_rabbitmq.subscription import RabbitSubscription

log = logging.getLogger(__name__)

CONNECTING = 8
"""Readers that connect at once: a handshake costs the server milliseconds, with TLS tens of them, and each has to be
done in time."""

LEASE_SHARE = 2 / 3
"""Of the server's consumer_timeout, for a message to be held: it looks every minute, and what is held may be in the
middle of an attempt."""


class RabbitTransport:
    """Implements `Transport`, `Browsable`, `Removable` and `Measurable`, for one event loop.

    One connection publishes: a server with an alarm blocks it, and reading and settling go on. One asks questions. Each
    subscription has its own, which is held back when its messages are not taken as fast as they come.
    """

    def __init__(self, options: RabbitOptions, context: TransportContext) -> None:
        self._options = options
        self._context = context
        self._names = Names(options.prefix)
        self._publishing: Link | None = None
        self._asking: Link | None = None
        self._connecting = asyncio.Semaphore(CONNECTING)
        self._where: Address
        self._publisher: Publisher
        self._subscriptions: set[RabbitSubscription] = set()
        self._made: set[str] = set()
        """Queues that are ours to make: `ensure` was told so."""
        self._letters: dict[str, Letters] = {}
        self._known: dict[str, list[str]] = {}
        """The queues of each exchange that we were asked to ensure."""
        self.capabilities = Capabilities(
            ordering="channel",
            settle="individual",
            delay=0.0,
            lease=options.consumer_timeout * LEASE_SHARE,
            groups=True,
            seek=frozenset(),
            browse=True,
            measure=True,
            counts_attempts=False,
            dedup=None,
            max_event_bytes=options.max_message_bytes - LETTER_BYTES,
            max_batch=1_000,
        )

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """As `Transport.open`."""
        if self._publishing is not None:
            return
        self._where = self._address()
        publishing = await self._connect("publish")
        try:
            self._asking = await self._connect("ask")
        except BaseException:
            await publishing.close()
            raise
        for link in (publishing, self._asking):  # a reader hears of its own when it receives
            link.on_lost = self._context.on_lost
        self._publishing = publishing
        self._publisher = Publisher(publishing, deadline=self._options.publish_timeout)

    async def _connect(self, what: str) -> Link:
        """A connection that the server's own tools show under this name."""
        name = f"mesh-gateway {self._context.name} {what}"
        return await Link.open(self._where, heartbeat=self._options.heartbeat, name=name)

    async def close(self) -> None:
        """As `Transport.close`. Bounded."""
        publishing, self._publishing = self._publishing, None
        asking, self._asking = self._asking, None
        await asyncio.gather(*(subscription.close() for subscription in list(self._subscriptions)))
        await asyncio.gather(*(link.close() for link in (publishing, asking) if link is not None))
        self._letters.clear()

    async def check(self) -> list[Check]:
        """As `Transport.check`: a connection of its own, the virtual host, and the channels known by now."""
        try:
            where = self._address()
            link = await Link.open(where, heartbeat=60, name="mesh-gateway check")
        except NotPermitted as error:
            return [
                Check(
                    "rabbitmq",
                    Level.AUTH,
                    ok=False,
                    detail=str(error),
                    hint="look at url, username, password",
                )
            ]
        except TransportError as error:
            return [
                Check("rabbitmq", Level.CONNECT, ok=False, detail=str(error), hint="look at the option url")
            ]
        blocked = None if self._publishing is None else self._publishing.blocked
        try:
            channels = await checks(link, self._known)
        finally:
            await link.close()
        return [
            Check("rabbitmq", Level.CONNECT, ok=True, detail=f"{where} answers"),
            Check("rabbitmq", Level.AUTH, ok=True, detail=f"{where.username} in virtual host {where.vhost}"),
            Check(
                "rabbitmq",
                Level.TOPOLOGY,
                ok=blocked is None,
                detail="no alarm is known" if blocked is None else f"takes no publishes: {blocked}",
                hint="" if blocked is None else "free memory or disk on the server",
            ),
            *channels,
        ]

    def _address(self) -> Address:
        options = self._options
        password = None if options.password is None else options.password.get_secret_value()
        return address(options.url.get_secret_value(), options.username, password, self._context_of_tls())

    def _context_of_tls(self) -> ssl.SSLContext | None:
        tls = self._options.tls
        if tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
            if tls.certificate_file is not None:
                context.load_cert_chain(tls.certificate_file, tls.key_file, no_passphrase)
        except OSError as error:  # ssl.SSLError is one
            raise NotPermitted(f"TLS of RabbitMQ cannot be set up: {error.strerror or error}") from error
        return context

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """As `Transport.ensure`. What differs is told, never changed."""
        exchange = self._exchange(channel.name)
        self._known[exchange] = [queue for queue, _ in self._queues(channel)]
        if mode is Ensure.OFF:
            return []
        link = self._questions()
        drifts = self._unlike_knative(channel)
        try:
            await topology.declare_exchange(link, exchange, passive=mode is Ensure.VERIFY)
        except Inequivalent as error:
            hint = "delete it, and let ensure be create"
            drifts.append(Drift(channel.name, f"exchange {exchange}", "fanout, durable", str(error), hint))
        for queue, arguments in self._queues(channel):
            if mode is Ensure.VERIFY:
                await topology.messages_in(link, queue)
                drifts += await topology.queue_drift(link, channel.name, queue, arguments)
                continue
            drifts += await self._make_queue(link, channel.name, queue, arguments, exchange)
            self._made.add(queue)
        return drifts

    async def _make_queue(
        self, link: Link, channel: str, queue: str, arguments: Mapping[str, Any], exchange: str
    ) -> list[Drift]:
        drifts: list[Drift] = []
        if await topology.exists(link, queue):
            drifts = await topology.queue_drift(link, channel, queue, arguments)
        else:
            if queue in self._made:
                self._tell_deleted(channel, queue)
            await topology.declare_queue(link, queue, arguments)
        await topology.bind(link, queue, exchange)
        return drifts

    def _tell_deleted(self, channel: str, queue: str) -> None:
        why = f"queue {queue} was deleted, with what was in it; it is made anew"
        self._context.on_unreadable(channel, why)

    def _queues(self, channel: ChannelSpec) -> list[tuple[str, Mapping[str, Any]]]:
        if channel.purpose is Purpose.DEAD_LETTERS:
            return [(self._queue(channel.name, OPERATORS), topology.STREAM)]
        return [(self._queue(channel.name, group), topology.QUORUM) for group in channel.groups]

    def _unlike_knative(self, channel: ChannelSpec) -> list[Drift]:
        """What a RabbitmqBrokerConfig asks for and this transport does otherwise."""
        given = dict(channel.options)
        drifts = []
        if channel.purpose is Purpose.EVENTS and given.get(QUEUE_TYPE) == "classic":
            hint = "a classic queue is not replicated and is not needed: say quorum"
            drifts.append(Drift(channel.name, QUEUE_TYPE, "classic", "quorum", hint))
        ours = self._address().vhost
        if channel.purpose is Purpose.EVENTS and given.get(VHOST, ours) != ours:
            hint = "a Transport is one virtual host: name it in its url"
            drifts.append(Drift(channel.name, VHOST, given[VHOST], ours, hint))
        return drifts

    def _exchange(self, channel: str) -> str:
        try:
            return self._names.exchange(channel)
        except ValueError as error:
            raise TransportError(str(error)) from error

    def _queue(self, channel: str, group: str) -> str:
        try:
            return self._names.queue(channel, group)
        except ValueError as error:
            raise TransportError(str(error)) from error

    # ── events ───────────────────────────────────────────────────────────────────────────────

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`."""
        self._writing()
        self._questions()
        limit = largest_event(channel, self._options.max_message_bytes)
        await self._publisher.publish(self._exchange(channel), events, limit)

    async def subscribe(self, channel: str, group: str, start: Start) -> RabbitSubscription:
        """As `Transport.subscribe`. A new group begins now: a queue holds nothing from before it was there. A queue of
        ours that somebody has deleted is made anew; until then publishing said that no queue takes it.
        """
        asking = self._questions()
        queue = self._queue(channel, group)
        if not await topology.exists(asking, queue):
            await self._begin_group(asking, channel, queue, start)

        async def bury(event: Event) -> None:
            pieces = in_pieces(event, self._options.max_message_bytes // 2)
            await self.publish(dead_letters_of(channel), pieces)

        link = await self._connect_reader(asking, queue)
        try:
            subscription = RabbitSubscription(
                link,
                channel,
                queue,
                bury=bury,
                unreadable=self._context.on_unreadable,
                left=self._subscriptions.discard,
            )
            await subscription.open(self._options.prefetch)
            if self._asking is not asking:
                raise ConnectionLost("RabbitMQ was disconnected meanwhile", retry_after=1)
        except BaseException:
            await link.close()
            raise
        self._subscriptions.add(subscription)
        return subscription

    async def _connect_reader(self, asking: Link, queue: str) -> Link:
        """A reader's own connection. That there is none for it is no reason to open all others anew: `Throttled` then,
        and `ConnectionLost` only where the server answers nobody.
        """
        async with self._connecting:
            try:
                return await self._connect(f"consume {queue}")
            except ConnectionLost as error:
                await topology.exists(asking, queue)
                raise Throttled(
                    f"there is no connection for the reader of {queue}: {error}", retry_after=1
                ) from error

    async def _begin_group(self, link: Link, channel: str, queue: str, start: Start) -> None:
        ours = queue in self._made
        await topology.declare_exchange(link, self._exchange(channel), passive=not ours)
        if ours:
            self._tell_deleted(channel, queue)
        elif start.at != "latest":
            raise Unsupported(
                f"queue {queue} does not exist, and RabbitMQ keeps nothing for a group that was not there yet: "
                "a new group can only begin at the latest event"
            )
        await topology.declare_queue(link, queue, topology.QUORUM)
        await topology.bind(link, queue, self._exchange(channel))
        self._made.add(queue)

    # ── looking in from outside ──────────────────────────────────────────────────────────────

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        """As `Browsable.browse`, for dead letters."""
        return await self._stream(channel).browse(self._questions(), self._writing(), after, limit)

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        """As `Removable.remove`, for dead letters."""
        return await self._stream(channel).remove(self._questions(), self._writing(), positions)

    async def backlog(self, channel: str, group: str) -> Backlog:
        """As `Measurable.backlog`; what another gateway holds at this moment is not counted."""
        link = self._questions()
        if group == OPERATORS:
            events, oldest = await self._stream(channel).count(link)
            return _backlog(events, oldest)
        queue = self._queue(channel, group)
        waiting = await topology.messages_in(link, queue)
        mine = [subscription for subscription in self._subscriptions if subscription.queue == queue]
        held = sum(subscription.held for subscription in mine)
        moments = [at for at in (subscription.oldest() for subscription in mine) if at is not None]
        if not moments and waiting:
            moments = await self._oldest_waiting(link, queue)
        return _backlog(waiting + held, min(moments, default=None))

    async def _oldest_waiting(self, link: Link, queue: str) -> list[float]:
        """When the first message of a queue was published. It is looked at and goes back to its place."""
        found: list[float] = []

        async def look(channel: Channel) -> None:
            came = asyncio.Event()

            def note(tag: int, again: bool, properties: bytes, body: bytes) -> None:  # callback
                found.append(float(fields.read(properties).timestamp or 0))
                came.set()

            channel.on_deliver = note
            await channel.call(commands.Basic.Qos(0, 1), commands.Basic.QosOk, f"look into queue {queue}")
            consume = commands.Basic.Consume(queue=queue, arguments={"x-priority": -10})
            await channel.call(consume, commands.Basic.ConsumeOk, f"look into queue {queue}")
            async with asyncio.timeout(2):
                await came.wait()

        try:
            await topology.on_a_channel(link, look)
        except TimeoutError:
            return []
        return found

    def _stream(self, channel: str) -> Letters:
        if purpose(channel) is not Purpose.DEAD_LETTERS:
            raise Unsupported("a queue of RabbitMQ cannot be looked into; dead letters can")
        found = self._letters.get(channel)
        if found is None:
            found = self._letters[channel] = Letters(
                channel, self._exchange(channel), self._queue(channel, OPERATORS)
            )
        return found

    def _writing(self) -> Link:
        if self._publishing is None:
            raise ConnectionLost("RabbitMQ is not connected", retry_after=1)
        self._publishing.check()
        return self._publishing

    def _questions(self) -> Link:
        if self._asking is None:
            raise ConnectionLost("RabbitMQ is not connected", retry_after=1)
        self._asking.check()
        return self._asking


def _backlog(events: int, oldest: float | None) -> Backlog:
    if not events:
        return Backlog(0, None)
    return Backlog(events, 0.0 if oldest is None else max(0.0, time.time() - oldest))
