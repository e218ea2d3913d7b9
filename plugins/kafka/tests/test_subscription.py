"""Reading, with a consumer that does as it is told: what is handed out, and what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition, errors
from mesh_gateway_kafka import subscription as subscriptions
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.records import encode
from mesh_gateway_kafka.subscription import KafkaSubscription

from mesh_gateway.errors import EventTooLarge, PublishError
from mesh_gateway.event import Event
from mesh_gateway.testing.harness import ids, numbered
from mesh_gateway.transport.contract import Delivery

LINK = Connection(("127.0.0.1:1",), "test", "PLAINTEXT")
P0, P1 = TopicPartition("topic", 0), TopicPartition("topic", 1)


@dataclass
class Log:
    """One partition as the broker has it: it begins at an offset, and what is no `Event` is junk."""

    begin: int = 0
    records: list[Event | None] = field(default_factory=list)
    committed: int | None = None

    @property
    def end(self) -> int:
        return self.begin + len(self.records)


class Consumer:
    """A group of one member over such logs."""

    def __init__(self, logs: dict[TopicPartition, Log], **settings: Any) -> None:
        self.logs = logs
        self.positions: dict[TopicPartition, int] = {}
        self.refusals: list[Exception] = []
        """What the next commits end with."""
        self.commits = asyncio.Semaphore(0)
        self.stopped = False
        self._coordinator = SimpleNamespace(member_id="m")

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None:
        await self.rebalance(self.logs)

    async def stop(self) -> None:
        self.stopped = True

    async def rebalance(self, assigned: Iterable[TopicPartition]) -> None:
        await self.listener.on_partitions_revoked(set(self.positions))
        self.positions = {p: self.logs[p].committed or 0 for p in assigned}
        await self.listener.on_partitions_assigned(set(assigned))

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        found: dict[TopicPartition, list[Any]] = {}
        for partition, at in self.positions.items():
            log = self.logs[partition]
            if not log.begin <= at <= log.end:
                raise errors.OffsetOutOfRangeError({partition: at})
            records = [record(partition, n, log.records[n - log.begin]) for n in range(at, log.end)]
            if records:
                found[partition] = records
                self.positions[partition] = log.end
        return found

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await asyncio.sleep(0)
        self.commits.release()
        if self.refusals:
            raise self.refusals.pop(0)
        for partition, offset in offsets.items():
            self.logs[partition].committed = offset

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.logs[partition].committed

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self.logs[partition].begin for partition in partitions}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset


def record(partition: TopicPartition, offset: int, event: Event | None) -> Any:
    key, value, headers = (None, b"junk", []) if event is None else encode(event)
    return SimpleNamespace(
        partition=partition.partition, offset=offset, key=key, value=value, headers=headers, timestamp=0
    )


def log(*names: str) -> Log:
    """A partition with an event of each name, and junk for a question mark."""
    return Log(records=[None if name == "?" else numbered(name) for name in names], committed=0)


class Group:
    """A subscription, what lies behind it, and what it said."""

    def __init__(self, logs: dict[TopicPartition, Log], bury: Callable[[Event], Awaitable[None]]) -> None:
        self.logs = logs
        self.said: list[str] = []
        self.consumer: Consumer
        self.subscription = KafkaSubscription(
            LINK,
            "n/b",
            "topic",
            "group",
            bury=bury,
            unreadable=lambda channel, why: self.said.append(why),
            watch=cast("Any", SimpleNamespace(lost=False, check=lambda: None)),
            trim=None,
            left=lambda subscription: None,
            make=self.make,
        )

    def make(self, **settings: Any) -> Any:
        self.consumer = Consumer(self.logs, **settings)
        return self.consumer

    async def received(self, count: int) -> list[Delivery]:
        found: list[Delivery] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                found += await self.subscription.receive(count - len(found))
        return found

    async def until_committed(self, partition: TopicPartition, offset: int) -> None:
        async with asyncio.timeout(20):
            while self.logs[partition].committed != offset:
                await self.consumer.commits.acquire()
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for what a broker is spared."""
    for name in ("COMMIT_EVERY", "RETRY_SECONDS"):
        monkeypatch.setattr(subscriptions, name, 0.001)


@pytest.fixture
async def reading() -> AsyncIterator[Callable[..., Awaitable[Group]]]:
    made: list[Group] = []

    async def buried(event: Event) -> None: ...

    async def read(
        logs: dict[TopicPartition, Log], bury: Callable[[Event], Awaitable[None]] = buried
    ) -> Group:
        made.append(Group(logs, bury))
        await made[-1].subscription.open()
        return made[-1]

    yield read
    for group in made:
        await group.subscription.close()


async def test_a_topic_that_was_made_anew_is_read_from_its_start(reading):
    group = await reading({P0: log("a", "b", "c")})
    await group.subscription.settle(await group.received(2))
    held = await group.received(1)
    await group.until_committed(P0, 2)
    group.logs[P0] = Log()
    assert not await group.subscription.receive(10)

    group.logs[P0].records += [numbered("d"), numbered("e")]
    new = await group.received(2)
    await group.subscription.settle(held)
    await group.subscription.settle(new[:1])

    assert ids(new) == ["d", "e"]
    assert ["made anew" in why for why in group.said] == [True]
    await group.until_committed(P0, 1)


async def test_a_gap_is_said_and_what_is_held_of_before_it_still_counts(reading):
    group = await reading({P0: log("a", "b")})
    held = await group.received(2)
    group.logs[P0] = Log(begin=5, records=[numbered("f")], committed=0)

    [after] = await group.received(1)
    await group.subscription.settle([after])
    await group.subscription.settle(held)

    assert ["offsets 2 to 4" in why for why in group.said] == [True]
    await group.until_committed(P0, 6)


async def test_a_record_that_cannot_be_buried_holds_back_nothing_but_its_partition(reading):
    async def bury(letter: Event) -> None:
        if letter.id == "0:0":
            raise PublishError("too large", refused={0: EventTooLarge("too large")})
        buried.append(letter.id)

    buried: list[str] = []
    group = await reading({P0: log("?", "a"), P1: log("b", "?", "c")}, bury)

    await group.subscription.settle(await group.received(3))

    await group.until_committed(P1, 3)
    assert buried == ["1:1"]
    assert group.logs[P0].committed == 0


@pytest.mark.parametrize(
    "refusal",
    [
        errors.CommitFailedError("moved on"),
        errors.IllegalStateError("not ours"),
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
    ],
    ids=["refused", "not ours", "its connection was cut"],
)
async def test_a_commit_that_was_not_made_is_made_up_for(reading, refusal):
    group = await reading({P0: log("a", "b")})
    group.consumer.refusals.append(refusal)

    await group.subscription.settle(await group.received(2))

    await group.until_committed(P0, 2)


async def test_a_reader_hears_of_a_bug_that_ended_the_commits(reading):
    async def broken(letter: Event) -> None:
        raise RuntimeError("a bug")

    group = await reading({P0: log("?")}, broken)

    with pytest.raises(RuntimeError, match="a bug"):
        await group.received(1)


async def test_a_consumer_is_stopped_also_if_closing_is_cancelled_while_it_commits(reading):
    """It would keep its partitions for as long as the process lives, and nobody would read them."""
    group = await reading({P0: Log(records=[numbered("1")])})
    await group.subscription.settle(await group.subscription.receive(10))
    committing = asyncio.Event()

    async def endless(offsets: dict[TopicPartition, int]) -> None:
        committing.set()
        await asyncio.Event().wait()

    group.consumer.commit = endless
    closing = asyncio.ensure_future(group.subscription.close())
    await asyncio.sleep(0)
    await committing.wait()
    closing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await closing
    assert group.consumer.stopped
