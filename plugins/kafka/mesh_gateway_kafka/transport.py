"""The contract over one Kafka cluster.

publish ─▶ publisher: a record batch for each partition ─▶ acknowledged by all in-sync replicas
subscribe ─▶ subscription: a member of the consumer group ─▶ receive, settle ─▶ committed up to the first unsettled
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiokafka import TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient

from mesh_gateway.errors import ChannelGone, ConnectionLost, TransportError
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    LETTER_BYTES,
    OPERATORS,
    Backlog,
    Capabilities,
    ChannelSpec,
    Check,
    Drift,
    Ensure,
    Purpose,
    Start,
    Stored,
    TransportContext,
    dead_letters_of,
    largest_event,
)
from mesh_gateway.wire.unreadable import in_pieces
from mesh_gateway_kafka import faults, knative, topics
from mesh_gateway_kafka.checks import checks
from mesh_gateway_kafka.connection import Connection, connection, connection_of_secret
from mesh_gateway_kafka.ending import IN_ORDER, LOST, stop_admin
from mesh_gateway_kafka.letters import Letters
from mesh_gateway_kafka.names import Names, parts
from mesh_gateway_kafka.offsets import Offsets
from mesh_gateway_kafka.options import KafkaOptions
from mesh_gateway_kafka.publisher import Publisher
from mesh_gateway_kafka.subscription import KafkaSubscription
from mesh_gateway_kafka.topics import Wanted
from mesh_gateway_kafka.watch import Watch

log = logging.getLogger(__name__)

TRIM_EVERY = 1_000
"""Settled offsets of a parked topic before they are deleted: parked events are ours alone, and kept for ever else."""


class Cluster:
    """Everything that is connected, from `open` to `close`."""

    def __init__(self, link: Connection, options: KafkaOptions) -> None:
        self.link = link
        self.admin = AIOKafkaAdminClient(**link.settings)
        self.offsets = Offsets(link, self.admin)
        self.publisher = Publisher(
            link,
            compression=options.compression,
            max_record_bytes=options.max_record_bytes,
            deadline=options.publish_timeout,
            exists=self.offsets.partitions,
        )
        self.watch = Watch(self.admin)
        self.subscriptions: set[KafkaSubscription] = set()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect all of it. Raises `TransportError`; closed again then."""
        try:
            await self.admin.start()
            await self.offsets.open()
            await self.publisher.open()
        except errors.KafkaError as error:
            await self.close()
            raise faults.meant(error, "connect to Kafka") from error
        except BaseException:
            await self.close()
            raise
        self._watching = asyncio.create_task(self.watch.run(), name="kafka watch")

    async def close(self) -> None:
        """Close all of it at once; within `IN_ORDER` seconds for each step, at once when the cluster is lost."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        seconds = LOST if self.watch.lost else IN_ORDER
        await asyncio.gather(*(member.close() for member in list(self.subscriptions)))
        await asyncio.gather(self.publisher.close(seconds), self.offsets.close(seconds))
        await stop_admin(self.admin, seconds)


class KafkaTransport:
    """Implements `Transport`, `Browsable`, `Removable` and `Measurable`, for one event loop."""

    def __init__(self, options: KafkaOptions, context: TransportContext) -> None:
        self._options = options
        self._context = context
        self._names = Names(options.topic, options.group)
        self._cluster: Cluster | None = None
        self._topics: dict[str, str] = {}
        self._ghosts: list[tuple[str, str]] = []
        self._connecting = asyncio.Lock()
        self.capabilities = Capabilities(
            ordering="key",
            settle="watermark",
            delay=0.0,
            lease=None,
            groups=True,
            seek=frozenset({"position", "timestamp"}),
            browse=True,
            measure=True,
            counts_attempts=False,
            dedup=None,
            max_event_bytes=options.max_record_bytes - LETTER_BYTES,
            max_batch=1_000,
        )

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """As `Transport.open`; without `bootstrapServers` the first `ensure` connects."""
        if self._options.bootstrap_servers and self._cluster is None:
            await self._connect(knative.BrokerOptions())

    async def close(self) -> None:
        """As `Transport.close`. Bounded."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            await cluster.close()

    async def check(self) -> list[Check]:
        """As `Transport.check`."""
        return await checks(self._options, sorted(set(self._topics.values())))

    async def _connect(self, given: knative.BrokerOptions) -> None:
        async with self._connecting:
            if self._cluster is None:
                link = self._described(given)
                await link.reach()
                cluster = Cluster(link, self._options)
                await cluster.open()
                self._cluster = cluster

    def _described(self, given: knative.BrokerOptions) -> Connection:
        """Who names the servers names the credentials: our own options, or else the Broker's ConfigMap with its Secret."""
        options = self._options
        if options.bootstrap_servers or not given.secret:
            return connection(options, options.bootstrap_servers or given.servers)
        return connection_of_secret(options.client_id, given.servers, dict(given.secret))

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """As `Transport.ensure`. Settings that differ are told, never changed."""
        given = knative.read(channel.options)
        if given.topic is not None and channel.purpose is Purpose.EVENTS:
            self._topics[channel.name] = given.topic
        if mode is Ensure.OFF:
            return []
        if self._cluster is None:
            await self._connect(given)
        cluster = self._serving()
        wanted = self._wanted(channel, given)
        found = await topics.describe(cluster.admin, wanted.name)
        if found is None:
            if mode is Ensure.VERIFY or given.topic == wanted.name:
                raise ChannelGone(f"topic {wanted.name} does not exist; create it, or let ensure be `create`")
            await topics.create(cluster.admin, wanted)
            drifts = []
        else:
            drifts = await topics.drift(
                cluster.admin, channel.name, wanted, found, self._options.max_record_bytes
            )
        if mode is Ensure.CREATE:
            await self._begin_groups(channel, wanted.name)
        return drifts + self._other_servers(channel, given)

    def _wanted(self, channel: ChannelSpec, given: knative.BrokerOptions) -> Wanted:
        config = {**self._options.topic_config, **dict(given.config)}
        partitions = given.partitions or self._options.partitions
        if channel.purpose is not Purpose.EVENTS:
            # Nothing that waits here may fall to a retention; what is settled or removed is deleted by us.
            config.pop("cleanup.policy", None)
            config |= {"retention.ms": "-1", "retention.bytes": "-1"}
        if channel.purpose is Purpose.DEAD_LETTERS:
            partitions = 1
        replication = given.replication or self._options.replication_factor
        return Wanted(self._topic(channel.name), partitions, replication, config)

    async def _begin_groups(self, channel: ChannelSpec, topic: str) -> None:
        offsets = self._serving().offsets
        for group in channel.groups:
            if group != OPERATORS:
                await offsets.begin(self._names.group(channel.name, group), topic, EARLIEST)

    def _other_servers(self, channel: ChannelSpec, given: knative.BrokerOptions) -> list[Drift]:
        ours = self._serving().link.servers
        if not given.servers or channel.purpose is not Purpose.EVENTS or set(given.servers) & set(ours):
            return []
        hint = "a Transport is one cluster: its bootstrapServers count; make a Transport for each cluster"
        return [Drift(channel.name, knative.SERVERS, ",".join(given.servers), ",".join(ours), hint)]

    def _topic(self, channel: str) -> str:
        found = self._topics.get(channel)
        if found is None:
            try:
                found = self._topics[channel] = self._names.topic(channel)
            except ValueError as error:
                raise TransportError(str(error)) from error
        return found

    # ── events ───────────────────────────────────────────────────────────────────────────────

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """As `Transport.publish`."""
        cluster = self._serving()
        cluster.watch.check()
        limit = largest_event(channel, self._options.max_record_bytes)
        await cluster.publisher.publish(self._topic(channel), events, limit)

    async def subscribe(self, channel: str, group: str, start: Start) -> KafkaSubscription:
        """As `Transport.subscribe`. A position is one that was shown before: `partition:offset`."""
        cluster = self._serving()
        topic, name = self._topic(channel), self._names.group(channel, group)
        await self._drive_out_ghosts(cluster, name)
        await cluster.offsets.begin(name, topic, start)

        async def bury(event: Event) -> None:
            pieces = in_pieces(event, self._options.max_record_bytes // 2)
            await self.publish(dead_letters_of(channel), pieces)

        parked = parts(channel)[2] is Purpose.PARKED
        subscription = KafkaSubscription(
            cluster.link,
            channel,
            topic,
            name,
            bury=bury,
            unreadable=self._context.on_unreadable,
            watch=cluster.watch,
            trim=Trim(cluster.admin) if parked else None,
            left=partial(self._left, cluster),
        )
        await subscription.open()
        cluster.subscriptions.add(subscription)
        return subscription

    def _left(self, cluster: Cluster, subscription: KafkaSubscription) -> None:
        cluster.subscriptions.discard(subscription)
        if cluster.watch.lost and subscription.member:
            self._ghosts.append((subscription.group, subscription.member))

    async def _drive_out_ghosts(self, cluster: Cluster, group: str) -> None:
        """Members of an earlier connection, that a lost cluster still counts in: a new one would wait for them."""
        ghosts = [member for name, member in self._ghosts if name == group]
        self._ghosts = [(name, member) for name, member in self._ghosts if name != group]
        for member in ghosts:
            await cluster.offsets.leave(group, member)

    # ── looking in from outside ──────────────────────────────────────────────────────────────

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        """As `Browsable.browse`, for dead letters."""
        return await self._letters(channel).browse(after, limit)

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        """As `Removable.remove`, for dead letters."""
        return await self._letters(channel).remove(positions)

    async def backlog(self, channel: str, group: str) -> Backlog:
        """As `Measurable.backlog`. Markers of transactions count as events."""
        if group == OPERATORS:
            letters = self._letters(channel)
            events, _ = await letters.count()
            oldest = await letters.browse(None, 1) if events else []
            return _backlog(events, oldest[0].enqueued_at if oldest else None)
        offsets = self._serving().offsets
        topic = self._topic(channel)
        committed = await offsets.committed(self._names.group(channel, group), topic)
        events, moments = 0, []
        for partition, (first, end) in (await offsets.bounds(topic)).items():
            at = max(first, committed[partition].offset if partition in committed else first)
            if at < end:
                events += end - at
                moments.append(offsets.moment(partition, at, end))
        found = [moment for moment in await asyncio.gather(*moments) if moment is not None]
        return _backlog(events, min(found, default=None))

    def _letters(self, channel: str) -> Letters:
        cluster = self._serving()
        group = self._names.group(channel, OPERATORS)
        return Letters(cluster.link, cluster.admin, cluster.offsets, channel, self._topic(channel), group)

    def _serving(self) -> Cluster:
        if self._cluster is None:
            raise ConnectionLost("Kafka is not connected", retry_after=1)
        return self._cluster


class Trim:
    """Deletes settled events of a parked topic, a thousand offsets at a time."""

    def __init__(self, admin: AIOKafkaAdminClient, remove: Callable[..., Any] = topics.trim) -> None:
        self._admin = admin
        self._remove = remove
        self._trimmed: dict[TopicPartition, int] = {}

    async def __call__(self, offsets: dict[TopicPartition, int]) -> None:
        """These are committed now. A trim that fails is tried again with the next."""
        far = {p: at for p, at in offsets.items() if at - self._trimmed.get(p, 0) >= TRIM_EVERY}
        if far:
            try:
                await self._remove(self._admin, far)
            except errors.KafkaError as error:
                log.info("settled parked events stay in their topic (needs Delete): %s", error)
            self._trimmed |= far


def _backlog(events: int, oldest: float | None) -> Backlog:
    return Backlog(events, None if oldest is None or not events else max(0.0, time.time() - oldest))
