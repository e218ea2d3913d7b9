"""One member of a consumer group on one topic.

receive ─▶ decode ─▶ watermark: handed out          settle ─▶ watermark ─▶ committer: at most 20 commits a second
   └─ no event ─▶ committer: dead-letter topic, then settled
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from mesh_gateway.errors import ConnectionLost, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.wire.unreadable import wrapped
from mesh_gateway_kafka import faults, lenient
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.deliveries import Broken, deliveries
from mesh_gateway_kafka.ending import IN_ORDER, LOST, stop_consumer
from mesh_gateway_kafka.partitions import Partitions
from mesh_gateway_kafka.watch import Watch

log = logging.getLogger(__name__)

WAIT_MS = 1000
"""How long an empty receive waits; the contract says about a second."""

COMMIT_EVERY = 0.05
"""Seconds between commits. One costs some 0.5 ms of CPU here and on the broker, 1 % of a core at this pace; a crash
repeats what was settled in between."""

ASK_SECONDS = 5.0
"""For a question to the brokers."""

RETRY_SECONDS = 1.0
"""Before a commit or a dead letter that failed is tried again."""

STUCK_SECONDS = 30.0
"""Without a record before we look whether there should have been one."""

UNREADABLE_LIMIT = 1000
"""Records that wait for the dead-letter topic before nothing more is received."""

Offsets = dict[TopicPartition, int]


class KafkaSubscription:
    """Implements `Subscription`. A delivery's token is its partition's watermark and its offset.

    `bury` publishes an unreadable record to the dead letters; `left` is called once it has closed.
    """

    def __init__(
        self,
        connection: Connection,
        channel: str,
        topic: str,
        group: str,
        *,
        bury: Callable[[Event], Awaitable[None]],
        unreadable: Callable[[str, str], None],
        watch: Watch,
        trim: Callable[[Offsets], Awaitable[None]] | None,
        left: Callable[[KafkaSubscription], None],
        make: Callable[..., AIOKafkaConsumer] = AIOKafkaConsumer,
    ) -> None:
        self.channel, self.topic, self.group = channel, topic, group
        self._settings = consumer_settings(connection, group)
        self._bury, self._unreadable, self._watch, self._left = bury, unreadable, watch, left
        self._trim = trim
        self._make = make
        self.partitions = Partitions(self.commit, self._forget_fetched)
        self._consumer: AIOKafkaConsumer
        self.member = ""
        """How the group knew us, once closed."""
        self._fetched: dict[TopicPartition, Sequence[Any]] = {}
        self._returned: deque[Delivery] = deque()
        self._broken: deque[Broken] = deque()
        self._dirty = asyncio.Event()
        self._committing = asyncio.Lock()
        self._upkeep: asyncio.Task[None] | None = None
        self._heard = time.monotonic()
        self._closed = False

    async def open(self) -> None:
        """Join the group. Raises `TransportError`; closed again then."""
        consumer = self.partitions.consumer = self._consumer = self._make(**self._settings)
        consumer.subscribe([self.topic], listener=self.partitions)
        try:
            await consumer.start()
        except errors.KafkaError as error:
            await stop_consumer(consumer, LOST)
            raise faults.meant(error, f"read topic {self.topic}") from error
        except BaseException:
            await stop_consumer(consumer, LOST)
            raise
        self._upkeep = asyncio.create_task(self._keep_up(), name=f"kafka commits of {self.group}")

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """As `Subscription.receive`; what was released comes first."""
        self._refuse_if_lost()
        found = self._take_returned(limit)
        if found:
            return found
        if len(self._broken) >= UNREADABLE_LIMIT:
            await asyncio.sleep(RETRY_SECONDS)
            return ()
        if not self._fetched:
            await self._fetch(limit)
        if not self.partitions.steady.is_set():
            return ()
        if not self._fetched:
            await self._refuse_if_stuck()
            return ()
        self._heard = time.monotonic()
        return self._hand_out(limit)

    async def _fetch(self, limit: int) -> None:
        """Fill `_fetched`, without losing it when we are cancelled after aiokafka has moved its position."""
        try:
            async with asyncio.timeout(2 * WAIT_MS / 1000):  # in a rebalance `getmany` waits for its end
                self._fetched = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=limit)
                await self.partitions.steady.wait()
        except TimeoutError:
            return
        except errors.ConsumerStoppedError:
            self._refuse_if_lost()
        except errors.OffsetOutOfRangeError as error:
            await self._report_gap(error)
        except errors.NoOffsetForPartitionError:
            await self._begin_where_nothing_is_committed()
        except UnicodeDecodeError:
            refused = lenient.refused(self._consumer)
            if not refused:
                raise
            await self._fetch_leniently(refused)
        except errors.KafkaError as error:
            raise faults.meant(error, f"read topic {self.topic}") from error

    async def _fetch_leniently(self, refused: Sequence[TopicPartition]) -> None:
        """The names of some headers are not to be read, and whatever `getmany` had found beside them went with the error:
        all partitions go back to what was handed out, and those that were refused are read another way.
        """
        partitions, consumer = self.partitions, self._consumer
        if not partitions.steady.is_set():
            return  # the next assignment begins at what is committed
        for partition, watermark in partitions.watermarks.items():
            consumer.seek(partition, watermark.next)
        try:
            await self._begin_where_nothing_is_committed()
            for partition in refused:
                begin = partitions.watermarks.get(partition)
                if begin is None:
                    return
                records, behind = await lenient.reread(consumer, partition, begin.next)
                if partitions.watermarks.get(partition) is not begin or not partitions.steady.is_set():
                    return  # a rebalance came first
                self._fetched = {**self._fetched, partition: records}
                consumer.seek(partition, behind)
        except errors.KafkaError as error:
            raise faults.meant(error, f"read topic {self.topic}") from error

    async def _refuse_if_stuck(self) -> None:
        """A consumer may stop fetching while it looks alive (aiokafka #1037); being opened anew mends it."""
        now = time.monotonic()
        if now - self._heard < STUCK_SECONDS:
            return
        self._heard = now
        ours = list(self.partitions.watermarks)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                ends = await self._consumer.end_offsets(ours)
                behind = [p for p in ours if ends[p] > await self._consumer.position(p)]
        except (TimeoutError, errors.KafkaError) as error:
            raise ConnectionLost(f"topic {self.topic} cannot be read: {error}") from error
        if behind and not self._fetched:
            raise ConnectionLost(
                f"nothing was fetched from {self.topic} for {STUCK_SECONDS:g} s although there is something"
            )

    def _hand_out(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        fetched, self._fetched = self._fetched, {}
        broken: list[Broken] = []
        for partition, records in fetched.items():
            watermark = self.partitions.watermarks.get(partition)
            if watermark is not None:
                found += deliveries(records, partition.partition, watermark, broken)
        if broken:
            self._broken += broken
            self._dirty.set()
        if len(found) > limit:  # left from a receive with a larger limit that was cancelled
            self._returned.extendleft(reversed(found[limit:]))
            del found[limit:]
        return found

    def _take_returned(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        while self._returned and len(found) < limit:
            delivery = self._returned.popleft()
            watermark, offset = delivery.token
            if not watermark.dropped and not watermark.is_settled(offset):
                found.append(delivery)
        return found

    async def settle(self, done: Sequence[Delivery]) -> None:
        """As `Subscription.settle`; committed a moment later."""
        self._refuse_if_lost()
        moved = False
        for delivery in done:
            watermark, offset = delivery.token
            moved |= watermark.settle(offset)
        if moved:
            self._dirty.set()

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """As `Subscription.release`; at once, to this member."""
        self._refuse_if_lost()
        if delay:
            raise Unsupported("Kafka cannot hold an event back; release it without a delay")
        again = {id(delivery) for delivery in self._returned}
        for delivery in back:
            watermark, offset = delivery.token
            if id(delivery) not in again and not watermark.dropped and not watermark.is_settled(offset):
                self._returned.append(
                    Delivery(
                        delivery.event,
                        delivery.token,
                        delivery.position,
                        delivery.key,
                        None,
                        delivery.enqueued_at,
                    )
                )

    async def close(self) -> None:
        """As `Subscription.close`: commit what is settled, leave the group. Bounded; raises nothing."""
        if self._closed:
            return
        self._closed = True
        seconds = LOST if self._watch.lost else IN_ORDER
        self.member = self._consumer._coordinator.member_id
        try:
            if self._upkeep is not None:
                self._upkeep.cancel()
                await asyncio.gather(self._upkeep, return_exceptions=True)
            async with asyncio.timeout(seconds):
                await self._trimmed(await self.commit())
        except (TimeoutError, errors.KafkaError) as error:
            log.info(
                "what was settled last on %s is not committed, it will come again: %s", self.topic, error
            )
        finally:
            # Cancelled, too: a consumer that lives on keeps its share of the partitions, and nobody reads them.
            await stop_consumer(self._consumer, seconds)
            self._left(self)

    # ── commits and unreadable records ───────────────────────────────────────────────────────

    async def commit(self) -> Offsets:
        """Commit what has moved; what that was. Raises `KafkaError`, in a rebalance, too: it says what is still ours."""
        async with self._committing:
            offsets = self.partitions.to_commit()
            if not offsets:
                return {}
            try:
                await self._consumer.commit(offsets)
            except errors.KafkaError:
                raise
            except RuntimeError as error:
                # uvloop's word for writing to a connection that has just ended; aiokafka expects an OSError.
                raise errors.KafkaConnectionError(str(error)) from error
            self.partitions.committed(offsets)
            return offsets

    async def _trimmed(self, offsets: Offsets) -> None:
        if offsets and self._trim is not None:
            await self._trim(offsets)

    async def _keep_up(self) -> None:
        """The one owner of commits and of unreadable records, until it is cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._trimmed(await self.commit())
                await self._bury_broken()  # last: what cannot be buried holds back no commit
            except (TransportError, errors.KafkaError) as error:
                log.warning("upkeep of %s failed, will be tried again: %s", self.topic, error)
                self._dirty.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(COMMIT_EVERY)

    async def _bury_broken(self) -> None:
        while self._broken:
            (watermark, offset), position, record, why = self._broken[0]
            if not watermark.dropped:
                headers = {name: (text or b"").decode("utf-8", "replace") for name, text in record.headers}
                if record.key is not None:
                    headers["(key)"] = record.key.decode("utf-8", "replace")
                letter = wrapped(
                    record.value or b"", channel=self.channel, position=position, why=why, headers=headers
                )
                try:
                    await self._bury(letter)
                except TransportError:
                    self._broken.rotate(-1)  # the others first
                    raise
                self._unreadable(self.channel, f"{self.topic} {position}: {why}")
                watermark.settle(offset)
                self._dirty.set()
            self._broken.popleft()

    async def _report_gap(self, error: errors.OffsetOutOfRangeError) -> None:
        """What was to be read next is not there: say what happened, and go on at the earliest."""
        lost: dict[TopicPartition, int] = (
            error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        )
        begins = await self._consumer.beginning_offsets(list(lost))
        for partition, at in lost.items():
            begin, where = begins[partition], f"{self.topic} partition {partition.partition}"
            if begin > at:
                why = (
                    f"offsets {at} to {begin - 1} of {where} were removed by the topic's retention before they were "
                    "read; raise retention.ms"
                )
            else:
                why = f"{where} ends before offset {at}: it has lost its end, or was made anew; all of it is read again"
                self.partitions.forget(partition)
            self._unreadable(self.channel, why)
            self._consumer.seek(partition, begin)

    async def _begin_where_nothing_is_committed(self) -> None:
        """Partitions that were added, or whose offsets have expired, are read from their start: never from the end."""
        watermarks = self.partitions.watermarks
        fresh = [partition for partition, watermark in watermarks.items() if watermark.committed is None]
        if not fresh:
            return
        for partition, begin in (await self._consumer.beginning_offsets(fresh)).items():
            self._consumer.seek(partition, max(begin, watermarks[partition].next))

    def _forget_fetched(self) -> None:
        """A rebalance: what was fetched and not handed out will be fetched again by whoever it belongs to."""
        self._fetched = {}

    def _refuse_if_lost(self) -> None:
        if self._closed:
            raise ConnectionLost("the subscription is closed")
        self._watch.check()
        upkeep = self._upkeep
        if upkeep is not None and upkeep.done() and not upkeep.cancelled() and (bug := upkeep.exception()):
            raise bug  # without it nothing would be committed any more


def consumer_settings(connection: Connection, group: str) -> dict[str, Any]:
    """Every setting that decides whether an event is lost, none of them left to a default."""
    return connection.settings | {
        "group_id": group,
        "enable_auto_commit": False,
        # Where nothing is committed *we* begin at the earliest; a gap is reported, never jumped over.
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "check_crcs": True,
        "partition_assignment_strategy": (StickyPartitionAssignor,),
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 3_000,
        "rebalance_timeout_ms": 30_000,
        # A reader that is held back (overflow: block) polls nothing for hours and must not leave the group for it;
        # that it makes progress is watched by the gateway.
        "max_poll_interval_ms": 2**31 - 1,
        "fetch_max_wait_ms": 500,
        "fetch_max_bytes": 8 * 2**20,
        "max_partition_fetch_bytes": 2**20,
    }
