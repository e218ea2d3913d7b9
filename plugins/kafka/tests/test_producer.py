"""Sequence numbers: none is used for two batches unless the first was certainly not stored; and what is tried again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from mesh_gateway_kafka import faults
from mesh_gateway_kafka import producer as module
from mesh_gateway_kafka.batches import natively
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.link import NotAsked
from mesh_gateway_kafka.producer import Producer, Unknown, following
from mesh_gateway_kafka.records import encode, encode_natively

from mesh_gateway.testing.harness import numbered
from mesh_gateway.transport.contract import ChannelSpec, Ensure

BROKER = ChannelSpec("n", "b")
MOST = 2**20
LINK = Connection(("127.0.0.1:1",), "test", "PLAINTEXT")
OK = 0
DENIED, LEADER_MOVED, TOO_FEW, STORED_BEFORE = (
    kind.errno
    for kind in (
        errors.TopicAuthorizationFailedError,
        errors.NotLeaderForPartitionError,
        errors.NotEnoughReplicasError,
        errors.DuplicateSequenceNumber,
    )
)
CUT = errors.KafkaConnectionError("cut")


class Batch:
    """So many records, which are their sequence number."""

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def record_count(self) -> int:
        return self.count

    def _set_producer_state(self, producer: int, epoch: int, sequence: int) -> None:
        self.sequence = sequence

    def _build(self) -> bytearray:
        return bytearray(str(self.sequence).encode())


class Cluster:
    """Both a client and what it knows, of one broker; and the way there, which says the next of `answers`."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self.cluster = self
        self.answers = list(answers)
        self.sent: list[int] = []
        self.said: list[asyncio.Future[int]] = []
        self.asked = 0
        self.leader: int | None = 1
        self.topics: list[str] = []

    def leader_for_partition(self, place: TopicPartition) -> int | None:
        return self.leader

    def force_metadata_update(self) -> asyncio.Future[None]:
        self.asked += 1
        self.leader = 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def add_topic(self, topic: str) -> None:
        self.topics.append(topic)

    async def close(self) -> None: ...

    def add(self, place: Any, raw: bytearray) -> asyncio.Future[int]:
        self.sent.append(int(raw))
        said: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.said.append(said)
        what = self.answers.pop(0) if self.answers else OK
        if isinstance(what, Exception):
            said.set_exception(what)
        elif what is not None:
            said.set_result(what)
        return said


def never() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A producer and its cluster, which pauses before another try without taking any time."""
    monkeypatch.setattr(module, "RETRY_MS", 0)
    monkeypatch.setattr(module, "REQUEST_MS", 3_600_000)

    def made(*answers: int | Exception | None) -> tuple[Producer, Cluster]:
        producer = Producer(LINK, compression="none", most=1000)
        cluster = producer.client = Cluster(*answers)

        async def way(node: int) -> Any:
            return cluster

        monkeypatch.setattr(producer, "_way", way)
        return producer, cluster

    return made


async def test_each_partition_counts_its_own_records(scripted):
    producer, cluster = scripted()

    for partition, count in ((0, 3), (0, 2), (1, 1), (0, 1)):
        await producer.send(Batch(count), "t", partition)

    assert cluster.sent == [0, 3, 0, 5]


def test_behind_the_greatest_number_comes_nought():
    assert following(2**31 - 1, 1) == 0
    assert following(2**31 - 2, 5) == 3


@pytest.mark.parametrize("why", [LEADER_MOVED, TOO_FEW, CUT, errors.RequestTimedOutError()])
async def test_what_may_pass_is_tried_again_with_the_same_number(scripted, why):
    producer, cluster = scripted(why, OK)

    await producer.send(Batch(2), "t", 0)
    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 0, 2]


async def test_a_leader_that_is_not_known_is_asked_for(scripted):
    producer, cluster = scripted()
    cluster.leader = None

    await producer.send(Batch(), "t", 0)

    assert cluster.asked == 1
    assert cluster.topics == ["t"]
    assert cluster.sent == [0]


async def test_a_batch_that_the_broker_has_already_is_stored(scripted):
    producer, cluster = scripted(CUT, STORED_BEFORE)

    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 0]


async def test_the_number_of_a_batch_that_was_certainly_not_stored_is_used_again(scripted):
    producer, cluster = scripted(DENIED)

    with pytest.raises(errors.TopicAuthorizationFailedError):
        await producer.send(Batch(2), "t", 0)
    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 0]


async def test_the_number_of_a_batch_that_may_have_been_stored_is_never_used_again(scripted):
    producer, cluster = scripted(errors.UnknownError.errno, OK)

    with pytest.raises(errors.UnknownError):
        await producer.send(Batch(2), "t", 0)
    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 2]


async def test_a_refusal_after_an_attempt_that_may_have_stored_it_is_not_certain(scripted):
    producer, cluster = scripted(CUT, DENIED)

    with pytest.raises(Unknown, match="may have stored it"):
        await producer.send(Batch(2), "t", 0)
    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 0, 2]


async def test_a_refusal_after_refusals_that_stored_nothing_is_certain(scripted):
    producer, _ = scripted(TOO_FEW, DENIED)

    with pytest.raises(errors.TopicAuthorizationFailedError):
        await producer.send(Batch(), "t", 0)


async def test_the_number_of_a_batch_whose_sender_was_cancelled_is_not_used_again(scripted):
    producer, cluster = scripted(None)
    sending = asyncio.ensure_future(producer.send(Batch(2), "t", 0))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])

    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 2]


async def test_a_sender_that_is_cancelled_before_anything_is_sent_leaves_no_gap(scripted):
    producer, cluster = scripted()
    cluster.leader = None
    cluster.force_metadata_update = never
    sending = asyncio.ensure_future(producer.send(Batch(2), "t", 0))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    cluster.leader = 1

    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0]


async def test_a_connection_that_was_gone_before_the_request_has_stored_nothing(scripted):
    producer, cluster = scripted(NotAsked("gone"), DENIED)

    with pytest.raises(errors.TopicAuthorizationFailedError):
        await producer.send(Batch(2), "t", 0)
    await producer.send(Batch(), "t", 0)

    assert cluster.sent == [0, 0, 0]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(CUT, Unknown), (LEADER_MOVED, Unknown), (NotAsked("gone"), faults.Unsent)],
    ids=["cut", "leader moved", "never sent"],
)
async def test_closed_it_tries_nothing_again_and_says_what_is_known(scripted, answer, outcome):
    producer, cluster = scripted(answer)
    asked = asyncio.Event()

    def ask() -> asyncio.Future[None]:
        asked.set()
        return never()

    cluster.force_metadata_update = ask
    sending = asyncio.ensure_future(producer.send(Batch(), "t", 0))
    await asked.wait()

    await producer.close()

    with pytest.raises(outcome):
        await sending
    assert cluster.sent == [0]


class Bootstrapped(Cluster):
    """A client that gives a producer its number, once it has said each of `answers`."""

    def __init__(self, *answers: int | Exception) -> None:
        super().__init__()
        self.said_of_number = list(answers)

    async def bootstrap(self) -> None: ...

    def get_random_node(self) -> int:
        return 1

    async def send(self, node: int, request: Any) -> Any:
        what = self.said_of_number.pop(0)
        if isinstance(what, Exception):
            raise what
        return SimpleNamespace(error_code=what, producer_id=7, producer_epoch=1)


async def test_a_number_that_cannot_be_given_yet_is_asked_for_again(scripted):
    producer, _ = scripted()
    producer.client = Bootstrapped(errors.CoordinatorLoadInProgressError.errno, CUT, OK)

    await producer.start()

    assert (producer._id, producer._epoch) == (7, 1)


async def test_a_number_that_is_refused_is_not_asked_for_again(scripted):
    producer, _ = scripted()
    producer.client = Bootstrapped(errors.ClusterAuthorizationFailedError.errno)

    with pytest.raises(errors.ClusterAuthorizationFailedError):
        await producer.start()


# ── on the real broker ───────────────────────────────────────────────────────────────────────


async def test_a_batch_that_is_sent_twice_is_stored_once(make, own, servers):
    """As after a connection that was lost before the answer came."""
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    topic = f"{own}-n-b"
    producer = Producer(Connection((servers,), "test", "PLAINTEXT"), compression="none", most=MOST)
    await producer.start()
    await producer.partitions_for(topic)
    batches = []
    for event in numbered("1"), numbered("2"):
        batches.append(producer.create_batch())
        record = (encode_natively if natively("none") else encode)(event)
        batches[-1].append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
        await producer.send(batches[-1], topic, 0)

    leader = producer.client.cluster.leader_for_partition(TopicPartition(topic, 0))
    again = [await (await producer._way(leader)).add((topic, 0), batch._build()) for batch in batches]

    await producer.close()
    assert set(again) <= {OK, STORED_BEFORE}
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    ends = await consumer.end_offsets([TopicPartition(topic, 0)])
    await consumer.stop()
    assert list(ends.values()) == [2]
