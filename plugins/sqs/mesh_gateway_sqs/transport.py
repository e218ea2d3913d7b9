"""The contract over Amazon SQS: one queue for each channel.

publish ─▶ SendMessageBatch ─▶ 200 and the MD5 matches          subscribe ─▶ long polls ─▶ receive, settle ─▶ deleted
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mesh_gateway.errors import ConnectionLost, NotPermitted, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    LETTER_BYTES,
    OPERATORS,
    SHARED,
    Backlog,
    Capabilities,
    ChannelSpec,
    Check,
    Drift,
    Ensure,
    Level,
    Start,
    Stored,
    TransportContext,
    dead_letters_of,
    largest_event,
)
from mesh_gateway.wire.unreadable import in_pieces
from mesh_gateway_sqs import api, publisher, queues
from mesh_gateway_sqs.checks import checks
from mesh_gateway_sqs.client import Sqs, Unknown
from mesh_gateway_sqs.clock import Clock, RealClock
from mesh_gateway_sqs.letters import Letters
from mesh_gateway_sqs.names import Names
from mesh_gateway_sqs.options import SqsOptions
from mesh_gateway_sqs.subscription import HELD_SECONDS, LONGEST_DELAY, SqsSubscription

DEDUPLICATION_SECONDS = 300.0
"""For which a FIFO queue drops a second message with the same deduplication id."""

OPEN_SECONDS = 4.5
"""For the first answer; the contract gives `open` about five seconds."""


class SqsTransport:
    """Implements `Transport`, `Browsable`, `Removable` and `Measurable`, for one event loop."""

    def __init__(self, options: SqsOptions, context: TransportContext, clock: Clock | None = None) -> None:
        self._options = options
        self._context = context
        self._clock = clock or RealClock()
        self._names = Names(options.prefix, options.fifo)
        self._sqs: Sqs | None = None
        self._urls: dict[str, str] = {}
        self._known: set[str] = set()
        """The queues that we were asked to ensure."""
        self._letters: dict[str, Letters] = {}
        self._subscriptions: set[SqsSubscription] = set()
        self.capabilities = Capabilities(
            ordering="key" if options.fifo else "none",
            settle="individual",
            delay=LONGEST_DELAY,
            lease=HELD_SECONDS,
            groups=False,
            seek=frozenset(),
            browse=True,
            measure=True,
            counts_attempts=False,
            dedup=DEDUPLICATION_SECONDS if options.fifo else None,
            max_event_bytes=options.max_message_bytes - LETTER_BYTES,
            max_batch=1_000,
        )

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """As `Transport.open`."""
        if self._sqs is None:
            sqs = Sqs(self._options)
            try:
                await sqs.open()
                await _greet(sqs, self._options.prefix)
            except BaseException:
                await sqs.close()
                raise
            self._sqs = sqs

    async def close(self) -> None:
        """As `Transport.close`. Waits for polls that are under way."""
        await asyncio.gather(*(subscription.close() for subscription in list(self._subscriptions)))
        sqs, self._sqs = self._sqs, None
        self._urls.clear()
        self._letters.clear()
        if sqs is not None:
            await sqs.close()

    async def check(self) -> list[Check]:
        """As `Transport.check`: credentials, one call, and the queues of the channels known by now."""
        sqs = Sqs(self._options)
        try:
            await sqs.open()
            await _greet(sqs, self._options.prefix)
            found = await checks(sqs, sorted(self._known))
        except NotPermitted as error:
            return [
                Check(
                    "sqs",
                    Level.AUTH,
                    ok=False,
                    detail=str(error),
                    hint="look at the AWS credentials and policy",
                )
            ]
        except TransportError as error:
            return [
                Check("sqs", Level.CONNECT, ok=False, detail=str(error), hint="look at region and endpoint")
            ]
        finally:
            await sqs.close()
        return [
            Check("sqs", Level.CONNECT, ok=True, detail="SQS answers"),
            Check("sqs", Level.AUTH, ok=True, detail="the credentials are taken"),
            *found,
        ]

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """As `Transport.ensure`. Settings that differ are told, never changed."""
        name = self._names.queue(channel.name)
        self._known.add(name)
        if mode is Ensure.OFF:
            return []
        sqs = self._serving()
        make = queues.create(sqs, name, self._options) if mode is Ensure.CREATE else queues.url(sqs, name)
        queue = self._urls[channel.name] = await make
        return await queues.drift(sqs, channel.name, queue, self._options)

    async def _queue(self, channel: str) -> str:
        """The channel's queue. Raises `ChannelGone`."""
        found = self._urls.get(channel)
        if found is None:
            found = self._urls[channel] = await queues.url(self._serving(), self._names.queue(channel))
        return found

    # ── events ───────────────────────────────────────────────────────────────────────────────

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`."""
        sqs = self._serving()
        await publisher.publish(
            sqs,
            await self._queue(channel),
            events,
            fifo=self._options.fifo,
            # A redrive or a second parking is meant, and must not be dropped for looking like the first.
            fresh=":" in channel,
            max_bytes=largest_event(channel, self._options.max_message_bytes),
            seconds=self._options.publish_timeout,
        )

    async def subscribe(self, channel: str, group: str, start: Start) -> SqsSubscription:
        """As `Transport.subscribe`. There is one group, and it goes on where it was."""
        if group != SHARED:
            raise Unsupported("a queue of SQS has one group of readers; let the trigger read as shared")
        queue = await self._queue(channel)

        async def bury(event: Event) -> None:
            pieces = in_pieces(event, self._options.max_message_bytes // 2)
            await self.publish(dead_letters_of(channel), pieces)

        subscription = SqsSubscription(
            self._serving(),
            channel,
            queue,
            visibility=self._options.visibility_timeout,
            wait=self._options.wait_time,
            fifo=self._options.fifo,
            bury=bury,
            unreadable=self._context.on_unreadable,
            left=self._subscriptions.discard,
            clock=self._clock,
        )
        self._subscriptions.add(subscription)
        return subscription

    # ── looking in from outside ──────────────────────────────────────────────────────────────

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        """As `Browsable.browse`, for dead letters."""
        return await (await self._of(channel)).browse(after, limit)

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        """As `Removable.remove`, for dead letters."""
        return await (await self._of(channel)).remove(positions)

    async def backlog(self, channel: str, group: str) -> Backlog:
        """As `Measurable.backlog`; approximate, as SQS says, and without an age."""
        if group not in (SHARED, OPERATORS):
            raise Unsupported("a queue of SQS has one group of readers")
        return Backlog(await queues.waiting(self._serving(), await self._queue(channel)), None)

    async def _of(self, channel: str) -> Letters:
        if not channel.endswith(":dead-letters"):
            raise Unsupported("a queue of SQS cannot be looked into; dead letters can")
        found = self._letters.get(channel)
        if found is None:
            queue = await self._queue(channel)
            found = self._letters[channel] = Letters(self._serving(), channel, queue, self._clock)
        return found

    def _serving(self) -> Sqs:
        if self._sqs is None:
            raise ConnectionLost("SQS is not connected", retry_after=1)
        return self._sqs


async def _greet(sqs: Sqs, prefix: str) -> None:
    """One call that changes nothing, to see that somebody answers and lets us in. Raises `ConnectionLost` or what SQS
    says: of a call that changes nothing it does not matter whether it was done.
    """
    try:
        await sqs.call("ListQueues", {"QueueNamePrefix": prefix, "MaxResults": 1}, api.document, OPEN_SECONDS)
    except Unknown as error:
        raise ConnectionLost(str(error), retry_after=1) from error
