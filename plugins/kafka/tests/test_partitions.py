"""What a member commits across rebalances, and that it notices when it has stopped reading; no server is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition, errors
from mesh_gateway_kafka import subscription as module
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.subscription import KafkaSubscription
from mesh_gateway_kafka.watch import Watch

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery

LINK = Connection(("127.0.0.1:1",), "test", "PLAINTEXT")
ZERO, ONE = TopicPartition("topic", 0), TopicPartition("topic", 1)
HEADERS = [("ce_specversion", b"1.0"), ("ce_id", b"x"), ("ce_source", b"/s"), ("ce_type", b"t")]


class Record:
    """One record as aiokafka gives it."""

    timestamp, key, value = 1_000, None, b"{}"

    def __init__(self, partition: TopicPartition, offset: int, headers: list[tuple[str, bytes]]) -> None:
        self.partition, self.offset, self.headers = partition.partition, offset, headers


class Consumer:
    """Stands for aiokafka's: gives what lies in `ready`, and keeps what the group has committed."""

    def __init__(self, **settings: Any) -> None:
        self.ready: dict[TopicPartition, list[Record]] = {}
        self.group: dict[TopicPartition, int] = {}
        self.commits: list[dict[TopicPartition, int]] = []
        self.refusal: Exception | None = None
        self.ends: dict[TopicPartition, int] = {}
        self._coordinator = self
        self.member_id = "member"

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[Record]]:
        found, self.ready = self.ready, {}
        return found

    async def committed(self, partition: TopicPartition) -> int | None:
        if self.refusal is not None:
            raise self.refusal
        return self.group.get(partition)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.commits.append(dict(offsets))
        self.group |= offsets

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.refusal is not None:
            raise self.refusal
        return {partition: self.ends.get(partition, 0) for partition in partitions}

    async def position(self, partition: TopicPartition) -> int:
        return 0


class Member:
    """A subscription over such a consumer, and what happens to it."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.buried: list[Event] = []
        self.refusal: Exception | None = None
        self.subscription = KafkaSubscription(
            LINK,
            "n/b",
            "topic",
            "group",
            bury=self._bury,
            unreadable=lambda channel, why: None,
            watch=Watch(None),  # type: ignore[arg-type]  # nobody looks
            trim=None,
            left=lambda one: None,
            make=lambda **settings: self.consumer,  # type: ignore[arg-type, return-value]
        )

    async def _bury(self, event: Event) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.buried.append(event)

    async def rebalance(self, before: set[TopicPartition], after: set[TopicPartition]) -> None:
        await self.subscription.partitions.on_partitions_revoked(before)
        await self.subscription.partitions.on_partitions_assigned(after)

    async def reads(
        self, partition: TopicPartition, *offsets: int, headers: list[tuple[str, bytes]] = HEADERS
    ) -> list[Delivery]:
        self.consumer.ready[partition] = [Record(partition, offset, headers) for offset in offsets]
        return list(await self.subscription.receive(100))

    async def commits(self, offsets: dict[TopicPartition, int]) -> None:
        """Returns once the group knows these."""
        async with asyncio.timeout(10):
            while not offsets.items() <= self.consumer.group.items():  # a commit tells nobody
                await asyncio.sleep(0.01)


@pytest.fixture
async def member():
    member = Member()
    await member.subscription.open()
    await member.rebalance(set(), {ZERO, ONE})
    yield member
    await member.subscription.close()


async def test_what_is_done_is_committed_while_the_partition_is_still_ours(member: Member):
    held = await member.reads(ZERO, 0, 1, 2)
    await member.subscription.settle([held[0], held[2]])

    await member.subscription.partitions.on_partitions_revoked({ZERO, ONE})

    assert member.consumer.group == {ZERO: 1}, "up to the first that is not settled, and no further"


async def test_nothing_is_ever_committed_for_a_partition_that_went_to_another_member(member: Member):
    held = await member.reads(ONE, 0, 1)
    await member.rebalance({ZERO, ONE}, {ZERO})
    member.consumer.commits.clear()

    await member.subscription.settle(held)
    await member.subscription.settle(await member.reads(ZERO, 0))
    await member.commits({ZERO: 1})
    await member.subscription.close()

    assert not [offsets for offsets in member.consumer.commits if ONE in offsets]


async def test_a_partition_that_comes_back_after_another_member_had_it_begins_where_that_one_was(
    member: Member,
):
    held = await member.reads(ONE, 0, 1, 2)
    await member.rebalance({ZERO, ONE}, {ZERO})
    member.consumer.group[ONE] = 2  # the other has settled two
    await member.rebalance({ZERO}, {ZERO, ONE})

    await member.subscription.settle(held)  # of a time that is over
    [again] = await member.reads(ONE, 2)
    assert member.consumer.group[ONE] == 2
    await member.subscription.settle([again])

    await member.commits({ONE: 3})


async def test_what_another_member_committed_between_two_callbacks_counts(member: Member):
    held = await member.reads(ONE, 0, 1, 2)
    await member.subscription.partitions.on_partitions_revoked({ZERO, ONE})
    member.consumer.group[ONE] = 1
    await member.subscription.partitions.on_partitions_assigned({ZERO, ONE})

    await member.subscription.settle(held)

    assert [delivery.position for delivery in await member.reads(ONE, 1, 2)] == ["1:1", "1:2"]
    assert member.consumer.group[ONE] == 1


async def test_what_stays_with_this_member_is_not_handed_out_again(member: Member):
    held = await member.reads(ZERO, 0, 1)

    await member.rebalance({ZERO, ONE}, {ZERO, ONE})

    assert await member.reads(ZERO, 0, 1) == []
    await member.subscription.settle(held)
    await member.commits({ZERO: 2})


async def test_where_the_group_cannot_be_asked_everything_in_flight_comes_again(member: Member):
    held = await member.reads(ZERO, 0, 1)
    member.consumer.refusal = errors.GroupCoordinatorNotAvailableError()
    await member.rebalance({ZERO, ONE}, {ZERO, ONE})  # its callbacks raise nothing
    member.consumer.refusal = None

    await member.subscription.settle(held)

    assert len(await member.reads(ZERO, 0, 1)) == 2
    assert member.consumer.commits == []


async def test_a_commit_that_the_group_refuses_ends_nothing_and_is_made_after_the_rebalance(member: Member):
    member.consumer.refusal = errors.CommitFailedError()
    held = await member.reads(ZERO, 0)
    await member.subscription.settle(held)
    await member.subscription.partitions.on_partitions_revoked({ZERO, ONE})
    member.consumer.refusal = None

    await member.subscription.partitions.on_partitions_assigned({ZERO, ONE})
    await member.subscription.settle(await member.reads(ZERO, 1))

    await member.commits({ZERO: 2})


async def test_junk_that_cannot_be_parked_holds_back_no_other_partitions_commits(member: Member):
    member.refusal = ConnectionLost("the dead letters cannot be reached")
    assert await member.reads(ONE, 0, headers=[]) == []

    await member.subscription.settle(await member.reads(ZERO, 0))

    await member.commits({ZERO: 1})
    assert member.consumer.group.get(ONE, 0) == 0
    member.refusal = None
    await member.commits({ONE: 1})
    assert [event.data for event in member.buried] == [b"{}"]


@pytest.mark.parametrize("asked", ["answers", "does not answer"])
async def test_a_consumer_that_fetches_nothing_although_there_is_something_is_opened_anew(
    member: Member, monkeypatch: pytest.MonkeyPatch, asked: str
):
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.0)
    if asked == "answers":
        member.consumer.ends[ONE] = 1
    else:
        member.consumer.refusal = errors.KafkaTimeoutError()

    with pytest.raises(ConnectionLost, match=r"although there is something|cannot be read"):
        await member.subscription.receive(10)


async def test_a_consumer_that_fetches_nothing_because_there_is_nothing_goes_on(
    member: Member, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.0)

    assert await member.subscription.receive(10) == ()
    assert len(await member.reads(ZERO, 0)) == 1


async def test_a_reader_whose_upkeep_ends_by_a_bug_is_told_and_does_not_read_on_without_commits(
    member: Member, monkeypatch: pytest.MonkeyPatch
):
    def buggy(*_: object, **__: object) -> Event:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "wrapped", buggy)
    assert await member.reads(ZERO, 0, headers=[]) == []

    assert isinstance(await raised_by(member), ZeroDivisionError)


async def raised_by(member: Member) -> Exception:
    """What ends reading."""
    async with asyncio.timeout(10):
        while True:
            try:
                await member.subscription.receive(10)
            except Exception as error:
                return error
            await asyncio.sleep(0)
