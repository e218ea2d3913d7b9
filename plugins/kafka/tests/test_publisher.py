"""Publishing, with a producer that does as it is told: what is certain, what is unknown, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import errors
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.publisher import Publisher

from mesh_gateway.errors import ChannelGone, EventTooLarge, PublishError
from mesh_gateway.event import Event

LINK = Connection(("127.0.0.1:1",), "test", "PLAINTEXT")
LIMIT = 100_000
Ending = BaseException | None | str


class Batch:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.records: list[tuple[bytes | None, bytes | None]] = []

    def append(
        self, *, timestamp: Any, key: bytes | None, value: bytes | None, headers: Any
    ) -> object | None:
        assert timestamp is None, "an event's own time would let retention delete it (reference: services 3)"
        if len(self.records) >= self.limit:
            return None
        self.records.append((key, value))
        return object()


class Producer:
    """Answers each batch with the next of `endings`: None = stored, an exception, or "never", unless `confirm` is set."""

    made: list[Producer]

    def __init__(self, endings: list[Ending], per_batch: int) -> None:
        self.endings, self.per_batch = endings, per_batch
        self.sent: list[tuple[int, Batch]] = []
        self.confirm = asyncio.Event()
        self.client = self.cluster = self
        self.stopped = False

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.stopped = True

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0, 1, 2}

    async def partitions_for(self, topic: str) -> set[int]:
        return {0, 1, 2}

    def create_batch(self) -> Batch:
        return Batch(self.per_batch)

    async def send(self, batch: Batch, topic: str, partition: int) -> None:
        self.sent.append((partition, batch))
        what = self.endings.pop(0) if self.endings else None
        if isinstance(what, BaseException):
            raise what
        if what is not None:
            await self.confirm.wait()


@pytest.fixture
def made() -> list[Producer]:
    return []


@pytest.fixture
def publisher(made: list[Producer]) -> Callable[..., Publisher]:
    def make(
        *endings: Ending, per_batch: int = 1000, exists: Any = None, deadline: float = 0.05
    ) -> Publisher:
        left = list(endings)

        def producer(link: Connection, **settings: Any) -> Any:
            made.append(Producer(left, per_batch))
            return made[-1]

        async def there(topic: str) -> None: ...

        return Publisher(
            LINK,
            compression="none",
            max_record_bytes=LIMIT,
            deadline=deadline,
            exists=exists or there,
            make=producer,
        )

    return make


def events(count: int, **attributes: str) -> list[Event]:
    return [Event.new(type="t", source="/s", id=str(n), data=b"{}", **attributes) for n in range(count)]


async def test_without_keys_a_publish_is_one_batch_and_the_next_goes_to_another_partition(publisher, made):
    publisher = publisher()
    for _ in range(3):
        await publisher.publish("topic", events(100), LIMIT)

    assert [partition for partition, _ in made[0].sent] == [0, 1, 2]
    assert {len(batch.records) for _, batch in made[0].sent} == {100}


async def test_a_key_lies_where_javas_producer_puts_it(publisher, made):
    """Kafka's murmur2 over the key; the vectors are those of Kafka's own UtilsTest."""
    publisher = publisher()

    assert publisher._hash(b"21") == -973932308 & 0x7FFFFFFF
    assert publisher._hash(b"foobar") == -790332482 & 0x7FFFFFFF
    await publisher.publish("topic", events(5, partitionkey="foobar"), LIMIT)
    assert [partition for partition, _ in made[0].sent] == [(-790332482 & 0x7FFFFFFF) % 3]


async def test_what_is_not_confirmed_in_time_is_unknown_and_the_producer_is_replaced(publisher, made):
    publisher = publisher("never")

    with pytest.raises(PublishError, match=r"not confirmed within 0\.05 s") as raised:
        await publisher.publish("topic", events(3), LIMIT)
    await publisher.publish("topic", events(3), LIMIT)

    assert (raised.value.failed, raised.value.unknown) == (frozenset(), frozenset({0, 1, 2}))
    assert len(made) == 2
    assert made[0].stopped
    assert publisher.replaced == 1


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        (errors.TopicAuthorizationFailedError(), True),
        (errors.NotEnoughReplicasError(), True),
        (errors.NotEnoughReplicasAfterAppendError(), False),
        (errors.RequestTimedOutError(), False),
        (errors.KafkaConnectionError(), False),
    ],
)
async def test_only_an_error_that_says_so_is_certain(publisher, error, certain):
    with pytest.raises(PublishError) as raised:
        await publisher(error).publish("topic", events(2), LIMIT)

    assert raised.value.failed == (frozenset({0, 1}) if certain else frozenset())
    assert raised.value.unknown == (frozenset() if certain else frozenset({0, 1}))


async def test_behind_a_batch_that_was_not_stored_nothing_of_its_partition_is_sent(publisher, made):
    with pytest.raises(PublishError) as raised:
        await publisher(None, errors.RequestTimedOutError(), per_batch=2).publish("topic", events(6), LIMIT)

    assert raised.value.unknown == frozenset({2, 3})
    assert raised.value.failed == frozenset({4, 5}), "certainly not stored: it was never sent"
    assert len(made[0].sent) == 2


@pytest.mark.parametrize(
    "error", [errors.OutOfOrderSequenceNumber(), errors.UnknownProducerId(), errors.ProducerFenced()]
)
async def test_a_producer_that_cannot_recover_is_replaced_at_once(publisher, made, error):
    publisher = publisher(error)

    with pytest.raises(PublishError):
        await publisher.publish("topic", events(1), LIMIT)
    await publisher.publish("topic", events(1), LIMIT)

    assert len(made) == 2


async def test_an_event_that_is_too_large_is_refused_and_the_others_are_stored(publisher, made):
    batch = events(3)
    batch[1] = Event.new(type="t", source="/s", data=b"x" * LIMIT)

    with pytest.raises(PublishError) as raised:
        await publisher().publish("topic", batch, LIMIT)

    assert (raised.value.failed, raised.value.unknown) == (frozenset(), frozenset())
    assert list(raised.value.refused) == [1]
    assert isinstance(raised.value.refused[1], EventTooLarge)
    assert "maxRecordBytes" in str(raised.value.refused[1])
    assert len(made[0].sent[0][1].records) == 2


async def test_a_topic_that_is_gone_is_said_at_once(publisher, made, monkeypatch):
    async def gone(topic: str) -> None:
        raise ChannelGone(f"no {topic}")

    monkeypatch.setattr(Producer, "partitions_for_topic", lambda self, topic: None)
    with pytest.raises(ChannelGone, match="no topic"):
        await publisher(exists=gone).publish("topic", events(1), LIMIT)


async def test_closed_it_waits_for_publishes_also_for_those_that_wait_for_their_turn(publisher, made):
    publisher = publisher("never", None, deadline=30)
    publishing = [
        asyncio.ensure_future(publisher.publish("topic", events(1, partitionkey="k"), LIMIT))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(publisher.close(30))
    while not made[0].sent:
        await asyncio.sleep(0)
    assert not made[0].stopped

    made[0].confirm.set()
    await closing

    assert [one.exception() for one in publishing] == [None, None]
    assert len(made[0].sent) == 2
    assert made[0].stopped


async def test_closed_it_does_not_wait_for_ever(publisher, made):
    publisher = publisher("never", deadline=0.02)
    publishing = asyncio.ensure_future(publisher.publish("topic", events(1), LIMIT))
    while not made:
        await asyncio.sleep(0)

    await publisher.close(0)

    assert made[0].stopped
    with pytest.raises(PublishError):
        await publishing
