"""Against the real broker: credentials, certificates, junk in the topic, rebalances, retention, drift."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.protocol.admin import CreateAclsRequest
from mesh_gateway_kafka.topics import configuration

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, TransportError
from mesh_gateway.testing.harness import numbered, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Level,
    Purpose,
    Subscription,
)

BROKER = ChannelSpec("n", "b")
LETTERS = ChannelSpec("n", "b", Purpose.DEAD_LETTERS, groups=(OPERATORS,))
PARKED = ChannelSpec("n", "b", Purpose.PARKED, trigger="t")
PATIENCE = 30


def users() -> dict[str, Any]:
    """Options for the listener that asks for credentials."""
    return {"bootstrapServers": os.environ.get("MESH_TEST_KAFKA_SASL", "")}


def sasl(username: str = "mesh", password: str = "mesh-secret", mechanism: str = "PLAIN") -> dict[str, Any]:
    return users() | {"sasl": {"username": username, "password": password, "mechanism": mechanism}}


def may_write(topic: str, user: str) -> CreateAclsRequest:
    """Allow (3) this user to write (4) to exactly (3) this topic (2)."""
    return CreateAclsRequest(2, topic, 3, f"User:{user}", "*", 4, 3)


pytestmark = pytest.mark.usefixtures("servers")


@pytest.fixture
async def admin(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def producer(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """Somebody else's producer."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_request_size=2**20 + 12)
    await producer.start()
    yield producer
    await producer.stop()


async def receive(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


# ── who we are ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_it_authenticates(make, mechanism):
    transport = make(**sasl(mechanism=mechanism))
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, series(1))

    assert [check.ok for check in await transport.check()] == [True, True, True]


def told_by_a_config_map(password: str = "mesh-secret") -> ChannelSpec:
    """A Broker whose ConfigMap names servers, and a Secret that says who we are."""
    secret = {
        "protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "user": "mesh",
        "password": password,
    }
    options = {
        "bootstrap.servers": users()["bootstrapServers"],
        **{f"secret.{key}": text for key, text in secret.items()},
    }
    return ChannelSpec("n", "b", options=tuple(options.items()))


async def test_a_config_map_and_its_secret_are_enough_to_connect(make):
    transport = make(bootstrapServers=[])
    await transport.open()
    await transport.ensure(told_by_a_config_map(), Ensure.CREATE)
    await transport.publish(BROKER.name, series(1))

    [delivery] = await receive(await transport.subscribe(BROKER.name, SHARED, EARLIEST), 1)
    assert delivery.event == series(1)[0]


async def test_a_secret_with_a_wrong_password_is_refused_and_not_shown(make):
    transport = make(bootstrapServers=[])
    await transport.open()

    with pytest.raises(NotPermitted, match="refused our credentials") as raised:
        await transport.ensure(told_by_a_config_map("wrong-canary"), Ensure.CREATE)

    assert "wrong-canary" not in str(raised.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_named_and_not_shown(make, mechanism):
    transport = make(**sasl(password="wrong-canary", mechanism=mechanism))

    with pytest.raises(NotPermitted, match="refused our credentials") as raised:
        await transport.open()

    [check] = await transport.check()
    assert (check.ok, check.level) == (False, Level.AUTH)
    assert "wrong-canary" not in f"{raised.value}{check}"


async def test_a_user_without_acls_learns_which_one_is_missing(make):
    with pytest.raises(NotPermitted, match=r"IdempotentWrite.*ACL"):
        await make(**sasl("nobody", "nobody-secret")).open()


async def test_a_user_who_may_only_write_elsewhere_learns_what_is_missing_here(make, own, admin):
    mine = make(**sasl())
    await mine.open()
    await mine.ensure(BROKER, Ensure.CREATE)
    await admin._send_to_controller(may_write(f"{own}-elsewhere", "writer"))
    other = make(**sasl("writer", "writer-secret"))
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(NotPermitted):  # the ACL has not arrived everywhere yet
                await other.open()
                break

    for doing in (
        lambda: other.ensure(BROKER, Ensure.CREATE),
        lambda: other.publish(BROKER.name, series(1)),
        lambda: other.subscribe(BROKER.name, SHARED, EARLIEST),
    ):
        with pytest.raises(NotPermitted, match="ACL"):
            await doing()
    checks = await other.check()
    assert [check.level for check in checks if not check.ok] == [Level.PERMISSION]


async def test_tls_is_verified(make):
    server, authority = os.environ["MESH_TEST_KAFKA_TLS"], os.environ["MESH_TEST_CA"]
    trusting = make(bootstrapServers=server, tls={"caFile": authority})
    await trusting.open()
    await trusting.ensure(BROKER, Ensure.CREATE)

    with pytest.raises(NotPermitted, match="not trusted"):
        await make(bootstrapServers=server, tls={}).open()


@pytest.mark.parametrize("address", ["no-such-host.invalid:9092", "127.0.0.1:1", "nonsense"])
async def test_a_server_that_is_not_there_is_named(make, address):
    transport = make(bootstrapServers=address)

    with pytest.raises(ConnectionLost, match=address.partition(":")[0]):
        await transport.open()

    [check] = await transport.check()
    assert (check.ok, check.level) == (False, Level.CONNECT)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_batches_come_back_however_they_are_compressed(make, compression):
    transport = make(compression=compression)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    events = [numbered(f"e{n}", b"x" * 10_000) for n in range(50)]

    await transport.publish(BROKER.name, events)

    found = await receive(await transport.subscribe(BROKER.name, SHARED, EARLIEST), 50)
    assert sorted((one.event for one in found), key=lambda event: event.id) == sorted(
        events, key=lambda event: event.id
    )


async def test_asking_about_a_topic_makes_none_on_a_server_that_would(make, own, admin):
    """`auto.create.topics.enable` is on here, as by Kafka's own default."""
    transport = make()
    await transport.open()

    for _ in range(3):
        with pytest.raises(ChannelGone):
            await transport.ensure(BROKER, Ensure.VERIFY)
    with pytest.raises(TransportError):
        await transport.publish(BROKER.name, series(1))
    with pytest.raises(TransportError):
        await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    with pytest.raises(TransportError):
        await transport.backlog(BROKER.name, SHARED)
    await transport.check()

    assert not [topic for topic in await admin.list_topics() if own in topic]


# ── what others put there ────────────────────────────────────────────────────────────────────


async def test_junk_is_parked_with_its_bytes_and_the_partition_goes_on(make, own, producer, unreadable):
    transport = make(partitions=1)
    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)
    topic = f"{own}-n-b"
    await transport.publish(BROKER.name, series(1, "before"))
    await producer.send_and_wait(topic, b"\x00junk\xff", key=b"k", headers=[("origin", b"legacy")])
    await producer.send_and_wait(topic, b"half", headers=[("ce_specversion", b"1.0")])
    await transport.publish(BROKER.name, series(1, "after"))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    found = await receive(subscription, 2)
    await subscription.settle(found)
    async with asyncio.timeout(PATIENCE):
        while len(letters := await transport.browse(LETTERS.name, after=None, limit=10)) < 2:
            await asyncio.sleep(0.05)
    await subscription.close()

    assert [delivery.event.id for delivery in found] == ["before0", "after0"]
    assert [letter.event.data for letter in letters] == [b"\x00junk\xff", b"half"]
    assert letters[0].event.attributes["meshheaders"] == '{"origin": "legacy", "(key)": "k"}'
    assert "id: missing" in letters[1].event.attributes["meshreason"]
    assert [channel for channel, _ in unreadable] == [BROKER.name] * 2
    assert (await transport.backlog(BROKER.name, SHARED)).events == 0, "the junk is settled too"


async def test_junk_of_the_largest_size_is_parked_in_pieces(make, own, producer):
    transport = make(partitions=1)
    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)
    junk = os.urandom(2**20 - 400)
    await producer.send_and_wait(f"{own}-n-b", junk)
    await transport.publish(BROKER.name, series(1))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await subscription.settle(await receive(subscription, 1))
    async with asyncio.timeout(PATIENCE):
        while len(letters := await transport.browse(LETTERS.name, after=None, limit=10)) < 2:
            await asyncio.sleep(0.05)
    await subscription.close()

    assert b"".join(letter.event.data or b"" for letter in letters) == junk
    assert (await transport.backlog(BROKER.name, SHARED)).events == 0


async def test_junk_waits_unsettled_while_there_is_nowhere_to_park_it(make, own, producer, unreadable):
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await producer.send_and_wait(f"{own}-n-b", b"junk")
    await transport.publish(BROKER.name, series(1))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await subscription.settle(await receive(subscription, 1))
    await subscription.close()

    assert (await transport.backlog(BROKER.name, SHARED)).events == 2
    assert unreadable == []


async def test_a_broker_may_lie_on_a_topic_that_somebody_else_has_made(make, own, admin, producer):
    await admin.create_topics([NewTopic(f"{own}-theirs", 2, 1)])
    spec = ChannelSpec("n", "b", options=(("external.topic", f"{own}-theirs"),))
    transport = make(partitions=2)
    await transport.open()
    assert await transport.ensure(spec, Ensure.CREATE) == []
    await producer.send_and_wait(
        f"{own}-theirs",
        b"{}",
        headers=[("ce_specversion", b"1.0"), ("ce_id", b"x"), ("ce_source", b"/s"), ("ce_type", b"t")],
    )

    [delivery] = await receive(await transport.subscribe(spec.name, SHARED, EARLIEST), 1)

    assert delivery.event.id == "x"


async def test_an_external_topic_is_never_created(make, own):
    spec = ChannelSpec("n", "b", options=(("external.topic", f"{own}-absent"),))
    transport = make()
    await transport.open()

    with pytest.raises(ChannelGone, match=f"{own}-absent"):
        await transport.ensure(spec, Ensure.CREATE)


async def test_servers_out_of_a_config_map_are_used_when_the_transport_names_none(make, servers):
    spec = ChannelSpec("n", "b", options=(("bootstrap.servers", servers), ("default.topic.partitions", "4")))
    transport = make(bootstrapServers=[])
    await transport.open()

    assert await transport.ensure(spec, Ensure.CREATE) == []
    await transport.publish(spec.name, series(1))


async def test_what_differs_from_the_documents_is_told(make, own, admin):
    await admin.create_topics(
        [
            NewTopic(
                f"{own}-n-b", 2, 1, topic_configs={"cleanup.policy": "compact", "max.message.bytes": "100000"}
            )
        ]
    )
    transport = make(partitions=3, topicConfig={"retention.ms": "1000000"})
    await transport.open()
    options = (("bootstrap.servers", "elsewhere:9092"),)

    drifts = await transport.ensure(ChannelSpec("n", "b", options=options), Ensure.VERIFY)

    told = {drift.what.partition(" of ")[0]: (drift.wanted, drift.found) for drift in drifts}
    assert told["partitions"] == ("3", "2")
    assert told["cleanup.policy"] == ("delete", "compact")
    assert told["max.message.bytes"] == ("1048588", "100000")
    assert told["retention.ms"][0] == "1000000"
    assert told["bootstrap.servers"][0] == "elsewhere:9092"


async def test_dead_letters_and_parked_events_have_the_same_size_and_safety_as_events_and_no_retention(
    make, own, admin
):
    given = {"max.message.bytes": "3000000", "min.insync.replicas": "1", "retention.ms": "60000"}
    transport = make(maxRecordBytes=3_000_000, topicConfig={**given, "cleanup.policy": "compact,delete"})
    await transport.open()
    for spec in (LETTERS, PARKED):
        assert await transport.ensure(spec, Ensure.CREATE) == []
        await transport.publish(spec.name, [numbered("large", b"x" * 2_500_000)])
        assert await transport.ensure(spec, Ensure.VERIFY) == []

    for topic in (f"{own}-n-b.dead-letters", f"{own}-n-b.parked.t"):
        found = await configuration(admin, topic)
        assert (found["max.message.bytes"], found["min.insync.replicas"]) == ("3000000", "1")
        assert (found["retention.ms"], found["cleanup.policy"]) == ("-1", "delete")


# ── what moves under us ──────────────────────────────────────────────────────────────────────


async def test_a_rebalance_commits_nothing_unsettled_and_repeats_only_what_was_in_flight(make, own):
    transport = make(partitions=4)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    for n in range(40):
        await transport.publish(BROKER.name, series(10, f"{n}-"))
    first = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    held = await receive(first, 400)
    await first.settle(held[1::2])

    second = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    again: dict[str, Delivery] = {}
    async with asyncio.timeout(PATIENCE):
        while not again:
            for delivery in await second.receive(500):
                again[delivery.event.id] = delivery
            await first.receive(10)
    unsettled = {delivery.event.id for delivery in held[0::2]}
    committed = await transport._serving().offsets.committed(f"{own}.n.b", f"{own}-n-b")
    for delivery in held[0::2]:
        number, offset = map(int, delivery.position.split(":"))
        assert committed[TopicPartition(f"{own}-n-b", number)].offset <= offset
    await first.settle(held[0::2])  # what went to the other member counts for nothing
    await first.close()
    await second.close()

    third = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    come: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while share := await third.receive(500):
            come |= {delivery.event.id for delivery in share}
    assert again.keys() <= come, "the second member settled nothing"
    assert unsettled & again.keys(), "the first member's were handed to the second"


async def test_a_partition_that_stays_is_not_handed_out_again_by_a_rebalance(make):
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, series(20))
    first = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    held = await receive(first, 20)

    second = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    async with asyncio.timeout(PATIENCE):
        shares = [await first.receive(50) for _ in range(3)]
        shares += [await second.receive(50) for _ in range(2)]
    who = [share for share in shares if share]
    await first.settle(held)
    await second.close()
    await first.close()

    assert who == [] or {d.event.id for s in who for d in s} <= {d.event.id for d in held}
    left = await transport.backlog(BROKER.name, SHARED)
    assert left.events == (0 if not who else 20)


async def test_a_partition_that_was_added_is_read_from_its_start(make, own, admin):
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await admin.create_partitions({f"{own}-n-b": NewPartitions(3)})
    producer = AIOKafkaProducer(bootstrap_servers=transport._options.bootstrap_servers)
    await producer.start()
    async with asyncio.timeout(PATIENCE):
        while len(await producer.partitions_for(f"{own}-n-b")) < 3:
            await producer.client.force_metadata_update()
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"new"), ("ce_source", b"/s"), ("ce_type", b"t")]
    await producer.send_and_wait(f"{own}-n-b", b"{}", partition=2, headers=headers)
    await producer.stop()

    [delivery] = await receive(await transport.subscribe(BROKER.name, SHARED, EARLIEST), 1)

    assert (delivery.event.id, delivery.position) == ("new", "2:0")


async def test_a_gap_that_retention_made_is_reported_and_reading_goes_on(make, own, admin, unreadable):
    transport = make(partitions=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, series(10))
    await admin.delete_records({TopicPartition(f"{own}-n-b", 0): RecordsToDelete(7)})

    found = await receive(await transport.subscribe(BROKER.name, SHARED, EARLIEST), 3)

    assert [delivery.event.id for delivery in found] == ["e7", "e8", "e9"]
    [(channel, why)] = unreadable
    assert channel == BROKER.name
    assert "offsets 0 to 6" in why


async def test_settled_parked_events_are_deleted_from_their_topic(make, own):
    transport = make()
    await transport.open()
    await transport.ensure(PARKED, Ensure.CREATE)
    await transport.publish(PARKED.name, series(500, "a"))
    await transport.publish(PARKED.name, series(1000, "b"))
    subscription = await transport.subscribe(PARKED.name, SHARED, EARLIEST)
    await subscription.settle(await receive(subscription, 1500))
    await subscription.close()

    bounds = await transport._serving().offsets.bounds(f"{own}-n-b.parked.t")

    assert sum(end - first for first, end in bounds.values()) <= 500


async def test_a_topic_that_was_deleted_is_an_error_and_is_not_made_again(make, own, admin):
    transport = make(publishTimeout=1)
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, series(1))
    await admin.delete_topics([f"{own}-n-b"])

    for _ in range(3):
        with pytest.raises(TransportError):
            await transport.publish(BROKER.name, series(1))

    with pytest.raises(ChannelGone):
        await transport.ensure(BROKER, Ensure.VERIFY)
