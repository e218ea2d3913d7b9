"""What a real server does to a transport that is in use: alarms, queues deleted, connections closed, answers lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from mesh_gateway_rabbitmq import topology
from mesh_gateway_rabbitmq.link import LARGEST_NUMBER, Channel, Link, address
from mesh_gateway_rabbitmq.subscription import RabbitSubscription
from mesh_gateway_rabbitmq.transport import RabbitTransport

from mesh_gateway.errors import (
    ChannelGone,
    ConnectionLost,
    NotPermitted,
    PublishError,
    StoreFull,
    Throttled,
    TransportError,
)
from mesh_gateway.testing.harness import ids, numbered, series
from mesh_gateway.testing.proxy import Proxy
from mesh_gateway.transport.contract import (
    EARLIEST,
    LATEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Ensure,
    Level,
    Purpose,
)
from plugins.rabbitmq.tests.beside import PATIENCE, Operator, raised_by, receive, until

BROKER = ChannelSpec("n", "b")
OTHER = ChannelSpec("n", "other")
NOBODY = ChannelSpec("n", "nobody", groups=())
LETTERS = ChannelSpec("n", "b", Purpose.DEAD_LETTERS, groups=(OPERATORS,))

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
async def transport(make) -> RabbitTransport:
    """Open, with a broker's channels."""
    transport: RabbitTransport = make()
    await transport.open()
    for spec in (BROKER, LETTERS, NOBODY):
        await transport.ensure(spec, Ensure.CREATE)
    return transport


@pytest.fixture
def queue(own: str) -> str:
    return f"{own}.n.b"


async def alarmed(operator: Operator, transport: RabbitTransport, source: str) -> None:
    """Returns once the transport knows of an alarm: the server tells only a connection that publishes."""
    await operator.alarm(source, on=True)
    await until(lambda: refuses(transport))


async def refuses(transport: RabbitTransport) -> bool:
    """Whether a publish is refused, and not just taken by no queue."""
    try:
        await transport.publish(NOBODY.name, series(1))
    except StoreFull:
        return True
    except PublishError:
        return False
    raise AssertionError("nobody takes it")


async def takes(transport: RabbitTransport) -> bool:
    return not await refuses(transport)


# ── alarms ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", ["memory", "disk"])
async def test_an_alarm_refuses_publishes_at_once_while_receiving_and_settling_go_on(
    transport, operator, queue, source
):
    await transport.publish(BROKER.name, series(3))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await receive(subscription, 1)

    await alarmed(operator, transport, source)

    with pytest.raises(StoreFull, match="takes no publishes at the moment") as raised:
        await transport.publish(BROKER.name, series(1, "late"))
    assert raised.value.retry_after is not None
    await subscription.settle(await receive(subscription, 2))
    await until(lambda: settled(operator, queue, 1))
    await operator.alarm(source, on=False)
    await until(lambda: takes(transport))
    await transport.publish(BROKER.name, series(1, "later"))
    assert ids(await receive(subscription, 1)) == ["later0"]


async def settled(operator: Operator, queue: str, left: int) -> bool:
    """Whether the server has heard that all but so many are settled."""
    return bool((await operator.queue(queue)).get("messages") == left)


async def test_a_publish_that_meets_an_alarm_does_not_wait_for_its_end(transport, operator):
    await transport.publish(BROKER.name, series(1))
    await operator.alarm("disk", on=True)

    with pytest.raises(PublishError, match="takes no publishes at the moment") as raised:
        await transport.publish(BROKER.name, [numbered(f"e{n}", b"x" * 1_000_000) for n in range(20)])

    assert 19 in raised.value.unknown
    assert (raised.value.failed, raised.value.refused) == (frozenset(), {})
    assert raised.value.retry_after is not None
    with pytest.raises(StoreFull):
        await transport.publish(BROKER.name, series(1))
    await operator.alarm("disk", on=False)
    await until(lambda: takes(transport))


@pytest.mark.parametrize("known", [True, False])
async def test_dead_letters_are_shown_during_an_alarm_and_reading_goes_on(transport, operator, queue, known):
    await transport.publish(LETTERS.name, series(2, "letter"))
    await transport.publish(BROKER.name, series(1))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    deliveries = await receive(subscription, 1)
    await operator.alarm("memory", on=True)
    if known:
        await until(lambda: refuses(transport))

    found = await transport.browse(LETTERS.name, after=None, limit=10)

    assert [letter.event.id for letter in found] == ["letter0", "letter1"]
    with pytest.raises(StoreFull) as raised:
        await transport.remove(LETTERS.name, [found[0].position])
    assert raised.value.retry_after is not None
    await subscription.settle(deliveries)
    await until(lambda: settled(operator, queue, 0))
    await operator.alarm("memory", on=False)
    await until(lambda: takes(transport))
    assert await transport.remove(LETTERS.name, [found[0].position]) == 1


async def test_a_check_tells_of_an_alarm_that_a_publish_has_met(transport, operator):
    await alarmed(operator, transport, "disk")

    [failed] = [check for check in await transport.check() if not check.ok]

    assert failed.level == Level.TOPOLOGY
    assert "takes no publishes" in failed.detail
    await operator.alarm("disk", on=False)


# ── publishing ───────────────────────────────────────────────────────────────────────────────


async def test_an_event_that_no_queue_takes_is_not_accepted(transport, operator, queue):
    await operator.delete_queue(queue)

    with pytest.raises(PublishError, match="NO_ROUTE") as raised:
        await transport.publish(BROKER.name, series(3))

    assert (raised.value.failed, raised.value.unknown) == ({0, 1, 2}, frozenset())
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, series(1))


async def test_an_event_that_the_queue_refuses_is_not_accepted(transport, operator, queue):
    policy = {
        "pattern": f"^{queue}$",
        "definition": {"max-length": 1, "overflow": "reject-publish"},
        "apply-to": "quorum_queues",
    }
    await operator.ask("PUT", f"policies/{operator.vhost}/{queue}", policy)

    found: list[PublishError] = []

    async def refused() -> bool:
        try:
            await transport.publish(BROKER.name, series(1))
        except PublishError as error:
            found.append(error)
        return bool(found)

    await until(refused)
    assert found[0].failed == {0}
    assert "did not store it" in str(found[0])


async def test_a_deleted_exchange_is_named_and_takes_no_other_publish_with_it(transport, operator, queue):
    await transport.ensure(OTHER, Ensure.CREATE)
    await operator.delete_exchange(queue)

    gone, *rest = await asyncio.gather(
        transport.publish(BROKER.name, series(1)),
        *(transport.publish(OTHER.name, series(1, str(n))) for n in range(20)),
        return_exceptions=True,
    )

    assert isinstance(gone, ChannelGone)
    assert "cannot publish" in str(gone)
    assert queue in str(gone)
    for outcome in rest:  # what went over the same AMQP channel is not known, which is another matter
        assert outcome is None or (isinstance(outcome, PublishError) and outcome.unknown == {0})
    await transport.publish(OTHER.name, series(1))


async def test_a_connection_lost_in_the_middle_of_a_publish_leaves_its_outcome_unknown(
    make, operator, queue, proxy
):
    transport = make(url=proxied(operator, proxy))
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, series(1, "before"))
    proxy.lose_answers()
    publishing = asyncio.ensure_future(transport.publish(BROKER.name, series(2)))
    await proxy.answer_lost.wait()

    proxy.cut()

    with pytest.raises(PublishError, match="was lost") as raised:
        await publishing
    assert (raised.value.unknown, raised.value.failed) == ({0, 1}, frozenset())
    with pytest.raises(ConnectionLost):
        await transport.publish(BROKER.name, series(1))
    proxy.resume()
    await transport.close()
    await transport.open()
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    assert ids(await receive(subscription, 3)) == ["before0", "e0", "e1"], "unknown meant stored, this time"


@pytest.fixture
async def proxy(operator: Operator) -> AsyncIterator[Proxy]:
    where = urlsplit(operator.url)
    assert where.hostname is not None
    assert where.port is not None
    async with Proxy((where.hostname, where.port)) as proxy:
        yield proxy


def proxied(operator: Operator, proxy: Proxy) -> str:
    where = urlsplit(operator.url)
    host, port = proxy.address
    return where._replace(netloc=f"{where.username}:{where.password}@{host}:{port}").geturl()


# ── consuming ────────────────────────────────────────────────────────────────────────────────


async def test_a_queue_deleted_under_its_consumer_is_named_and_can_be_read_again_once_it_is_made(
    transport, operator, queue
):
    await transport.publish(BROKER.name, series(2))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    held = await receive(subscription, 1)

    await operator.delete_queue(queue)

    error = await raised_by(subscription, [*held, *held])
    assert isinstance(error, ChannelGone)
    assert queue in str(error)
    with pytest.raises(ChannelGone):
        await subscription.settle(held)
    await subscription.close()
    await transport.ensure(BROKER, Ensure.CREATE)
    again = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await transport.publish(BROKER.name, series(1, "new"))
    assert ids(await receive(again, 1)) == ["new0"]


async def test_a_cancelled_consumer_takes_none_of_its_neighbours_with_it(transport, operator, own):
    await transport.ensure(OTHER, Ensure.CREATE)
    cancelled = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    neighbour = await transport.subscribe(OTHER.name, SHARED, EARLIEST)

    await operator.delete_queue(f"{own}.n.b")

    assert isinstance(await raised_by(cancelled), ChannelGone)
    await transport.publish(OTHER.name, series(1))
    await neighbour.settle(await receive(neighbour, 1))
    await until(lambda: settled(operator, f"{own}.n.other", 0))


async def test_a_queue_of_ours_that_was_deleted_is_made_anew_for_its_reader(
    transport, operator, queue, unreadable
):
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await operator.delete_queue(queue)
    assert isinstance(await raised_by(subscription), ChannelGone)
    await operator.delete_exchange(queue)

    again = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await transport.publish(BROKER.name, series(1))
    assert ids(await receive(again, 1)) == ["e0"]
    told = f"queue {queue} was deleted, with what was in it; it is made anew"
    assert unreadable == [(BROKER.name, told)]


async def test_the_deleted_queue_of_a_group_that_began_here_is_told_when_it_is_made_anew(
    transport, operator, own, unreadable
):
    subscription = await transport.subscribe(BROKER.name, "began", LATEST)
    await operator.delete_queue(f"{own}.n.b.began")
    assert isinstance(await raised_by(subscription), ChannelGone)
    assert unreadable == []

    await transport.subscribe(BROKER.name, "began", EARLIEST)

    assert [channel for channel, _ in unreadable] == [BROKER.name]


async def test_a_queue_that_was_deleted_while_we_were_not_connected_is_told_when_it_is_made_anew(
    transport, operator, queue, unreadable
):
    await transport.close()
    await operator.delete_queue(queue)

    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)

    assert unreadable == [(BROKER.name, f"queue {queue} was deleted, with what was in it; it is made anew")]


async def test_a_group_that_is_not_ours_to_make_begins_only_at_the_latest_event(
    make, transport, operator, queue
):
    await operator.delete_queue(queue)
    transport = make()
    await transport.open()

    with pytest.raises(TransportError, match="can only begin at the latest event"):
        await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    subscription = await transport.subscribe(BROKER.name, SHARED, LATEST)
    await transport.publish(BROKER.name, series(1))
    assert ids(await receive(subscription, 1)) == ["e0"]


async def test_a_consuming_connection_that_the_server_closes_ends_its_reader_alone_and_a_new_one_serves(
    transport, operator, queue
):
    await transport.ensure(OTHER, Ensure.CREATE)
    neighbour = await transport.subscribe(OTHER.name, SHARED, EARLIEST)
    await transport.publish(BROKER.name, series(2))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    held = await receive(subscription, 2)
    await subscription.settle(held[:1])

    await operator.close_connection(f"consume {queue}")

    error = await raised_by(subscription)
    assert isinstance(error, ConnectionLost)
    assert "CONNECTION_FORCED" in str(error)
    with pytest.raises(ConnectionLost):
        await subscription.settle(held)
    await transport.publish(OTHER.name, series(1, "beside"))
    assert ids(await receive(neighbour, 1)) == ["beside0"]
    await subscription.close()
    again = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    assert ids(await receive(again, 1)) == ["e1"]


async def test_a_connection_for_questions_that_the_server_closes_is_lost_and_a_new_one_serves(
    transport, operator
):
    await operator.close_connection("ask")

    async def lost() -> bool:
        try:
            await transport.publish(BROKER.name, [])
        except ConnectionLost as error:
            return "CONNECTION_FORCED" in str(error)
        return False

    await until(lost)
    with pytest.raises(ConnectionLost):
        await transport.backlog(BROKER.name, SHARED)
    with pytest.raises(ConnectionLost):
        await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await transport.close()
    await transport.open()
    assert (await transport.backlog(BROKER.name, SHARED)).events == 0


async def test_a_reader_that_gets_no_connection_waits_by_itself(transport, operator, monkeypatch):
    await operator.ask("PUT", f"vhost-limits/{operator.vhost}/max-connections", {"value": 0})
    try:
        with pytest.raises(NotPermitted, match="connection limit"):
            await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    finally:
        await operator.ask("DELETE", f"vhost-limits/{operator.vhost}/max-connections")

    with monkeypatch.context() as patch:
        patch.setattr("mesh_gateway_rabbitmq.link.OPEN_SECONDS", 0)  # as of a server that has no sockets left
        with pytest.raises(Throttled, match="no connection for the reader"):
            await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await transport.publish(BROKER.name, series(1))
    assert ids(await receive(await transport.subscribe(BROKER.name, SHARED, EARLIEST), 1)) == ["e0"]


async def test_a_reader_that_is_made_while_the_transport_closes_keeps_no_connection(
    transport, operator, queue
):
    subscribing = asyncio.ensure_future(transport.subscribe(BROKER.name, SHARED, EARLIEST))
    connecting = asyncio.Event()
    connect = transport._connect

    async def connect_and_tell(what: str) -> Link:
        link = await connect(what)
        connecting.set()
        return link

    transport._connect = connect_and_tell
    await connecting.wait()
    await transport.close()

    with pytest.raises(ConnectionLost):
        await subscribing

    async def gone() -> bool:
        return not (await operator.queue(queue)).get("consumer_details")

    await until(gone)


async def test_a_publishing_connection_that_the_server_closes_leaves_receiving_alone(transport, operator):
    await transport.publish(BROKER.name, series(1))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await operator.close_connection("publish")

    async def lost() -> bool:
        try:
            await transport.publish(BROKER.name, [])
        except ConnectionLost as error:
            return "CONNECTION_FORCED" in str(error)
        return False

    await until(lost)
    await subscription.settle(await receive(subscription, 1))
    await transport.close()
    await transport.open()
    await transport.publish(BROKER.name, series(1))


async def held_back(transport: RabbitTransport, monkeypatch: pytest.MonkeyPatch) -> RabbitSubscription:
    """A reader of the broker whose messages nobody takes, with more of them than it may hold in memory."""
    monkeypatch.setattr("mesh_gateway_rabbitmq.subscription.HELD_BYTES", 1_000_000)
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    for at in range(0, 60, 20):
        await transport.publish(BROKER.name, [numbered(f"big{at + n}", b"x" * 100_000) for n in range(20)])

    async def full() -> bool:
        return subscription._arrived_bytes > 1_000_000

    await until(full)
    return subscription


async def test_a_reader_whose_messages_nobody_takes_delays_no_other_and_no_question(transport, monkeypatch):
    await transport.ensure(OTHER, Ensure.CREATE)
    neighbour = await transport.subscribe(OTHER.name, SHARED, EARLIEST)
    stuck = await held_back(transport, monkeypatch)

    await transport.publish(OTHER.name, series(1))
    found = await receive(neighbour, 1)
    backlog = await transport.backlog(BROKER.name, SHARED)
    await transport.publish(LETTERS.name, series(1, "letter"))
    letters = await transport.browse(LETTERS.name, after=None, limit=10)

    assert ids(found) == ["e0"]
    assert backlog.events > 0
    assert len(letters) == 1
    assert ids(await receive(stuck, 60)) == [f"big{n}" for n in range(60)], "it goes on when they are taken"


async def test_a_held_back_reader_whose_connection_the_server_closes_is_lost_alone(transport, monkeypatch):
    stuck = await held_back(transport, monkeypatch)
    stuck._link._transport.abort()  # as the server does after half a minute in which nothing was taken

    async def lost() -> bool:
        return stuck._link.lost is not None

    await until(lost)
    with pytest.raises(TransportError, match="nobody took") as raised:
        await stuck.receive(1)
    assert not isinstance(raised.value, ConnectionLost), "that would open all connections anew"
    assert stuck.held == 0, "the queue has them"
    await stuck.close()
    again = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    assert ids(await receive(again, 60)) == [f"big{n}" for n in range(60)]


async def test_a_reader_that_is_held_back_closes_and_its_messages_are_there_for_the_next(
    transport, monkeypatch
):
    stuck = await held_back(transport, monkeypatch)
    await stuck.settle(await receive(stuck, 1))

    async with asyncio.timeout(PATIENCE / 2):  # less than a call waits for an answer
        await stuck.close()

    again = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    assert ids(await receive(again, 59)) == [f"big{n}" for n in range(1, 60)]


@pytest.mark.parametrize("which", ["publish", "ask"])
async def test_a_connection_that_nobody_uses_is_told_when_it_is_lost(transport, operator, lost, which):
    await operator.close_connection(which)

    async def told() -> bool:
        return bool(lost)

    await until(told)
    [error] = lost
    assert isinstance(error, ConnectionLost)
    assert "CONNECTION_FORCED" in str(error)
    await transport.close()
    assert lost == [error], "closing is no loss"


async def test_a_virtual_host_deleted_under_us_is_a_lost_connection(make, operator):
    own = f"{operator.vhost}-short"
    await operator.ask("PUT", f"vhosts/{own}", {})
    transport = make(url=f"{operator.url}-short")
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await operator.ask("DELETE", f"vhosts/{own}")

    assert isinstance(await raised_by(subscription), (ConnectionLost, ChannelGone))
    await transport.close()
    with pytest.raises(TransportError, match=f"{own}.*not found"):
        await transport.open()
    assert [check.level for check in await transport.check()] == [Level.AUTH]


# ── channels of a connection ─────────────────────────────────────────────────────────────────


@pytest.fixture
async def link(operator: Operator) -> AsyncIterator[Link]:
    link = await Link.open(address(operator.url, None, None, None), heartbeat=10, name="test")
    yield link
    await link.close()


async def test_a_connection_has_a_number_for_every_channel_however_many_there_were(link):
    first = await link.channel()
    link._next = LARGEST_NUMBER - 1

    later = [await link.channel() for _ in range(4)]

    assert first.number == 1
    assert [channel.number for channel in later] == [LARGEST_NUMBER - 1, LARGEST_NUMBER, 2, 3]


async def test_a_channel_that_nobody_waited_for_is_closed(link):
    for _ in range(5):
        opening = asyncio.ensure_future(link.channel())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])

    last = await link.channel()

    async def only_the_last() -> bool:  # the server answers on each channel when it comes to it
        return list(link._channels) == [last.number]

    await until(only_the_last)


async def test_a_question_that_is_given_up_leaves_no_channel_and_waits_for_no_answer(link):
    async def never(channel: Channel) -> None:
        asked.set()
        await asyncio.Event().wait()

    asked = asyncio.Event()
    asking = asyncio.ensure_future(topology.on_a_channel(link, never))
    await asked.wait()
    link.hold_back()  # as a reader does whose messages nobody takes: no answer is read
    asking.cancel()
    async with asyncio.timeout(PATIENCE / 2):
        await asyncio.wait([asking])
    link.go_on()

    last = await link.channel()

    assert list(link._channels) == [last.number]


async def test_a_connection_that_the_server_closes_for_too_many_channels_is_lost_and_not_refused(link):
    """What it says then is a NOT_ALLOWED, as of a password: nobody would connect again."""

    async def open_many() -> None:
        for _ in range(3_000):
            await link.channel()

    with pytest.raises(ConnectionLost, match="channel_max"):
        await open_many()
