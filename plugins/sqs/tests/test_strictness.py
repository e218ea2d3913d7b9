"""What Amazon SQS does and ElasticMQ does not, each against the real `SqsTransport`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from mesh_gateway_sqs import subscription as subscriptions
from mesh_gateway_sqs.client import Sqs
from mesh_gateway_sqs.http import CONNECTING
from mesh_gateway_sqs.transport import SqsTransport

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.testing.harness import ids, numbered, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Level,
    Purpose,
    Subscription,
)
from plugins.sqs.tests.fake_queues import LARGEST, Queue, Refusal
from plugins.sqs.tests.fake_sqs import FakeSqs, Trouble
from plugins.sqs.tests.hand_clock import HandClock

pytestmark = pytest.mark.anyio

CHANNEL = "shop/orders"
SPEC = ChannelSpec("shop", "orders")
VISIBILITY = 30
EXTEND = "ChangeMessageVisibilityBatch"
Make = Callable[..., SqsTransport]


async def opened(make: Make, **options) -> SqsTransport:
    transport = make(**options)
    await transport.open()
    await transport.ensure(SPEC, Ensure.CREATE)
    return transport


async def reading(transport: SqsTransport) -> Subscription:
    return await transport.subscribe(CHANNEL, SHARED, EARLIEST)


async def received(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


def the_queue(fake: FakeSqs) -> Queue:
    (queue,) = fake.queues.values()
    return queue


def bodies(fake: FakeSqs) -> list[str]:
    """The ids of the events that are stored."""
    return sorted(id for id in (f"e{n}" for n in range(30)) if stored(fake, id))


def stored(fake: FakeSqs, id: str) -> int:
    return sum(f'"id":"{id}"' in message.body for message in the_queue(fake).messages.values())


# ── what is held stays ours ──────────────────────────────────────────────────────────────────


async def test_what_is_held_is_extended_and_comes_to_nobody_else(make, fake, clock):
    holding, other = await opened(make), await opened(make)
    await holding.publish(CHANNEL, series(3))
    subscription = await reading(holding)
    held = await received(subscription, 3)
    waiting = await reading(other)

    await clock.let_pass(10 * VISIBILITY)

    assert ids(await waiting.receive(10)) == []
    await subscription.settle(held)
    assert bodies(fake) == []


async def test_what_waits_to_be_received_is_extended_too(make, fake, clock):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(3))
    subscription = await reading(transport)
    await fake.until("ReceiveMessage", 1)

    await clock.let_pass(10 * VISIBILITY)

    await subscription.settle(await received(subscription, 3))
    assert bodies(fake) == []


async def test_what_ran_out_and_came_again_is_deleted_with_its_newest_handle(make, fake, clock):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(2))
    subscription = await reading(transport)
    held = await received(subscription, 2)

    fake.trouble(EXTEND, *[Trouble(503)] * 3)
    polls = len(fake.of("ReceiveMessage"))
    clock.advance(VISIBILITY + 1)  # without a step between: nobody could extend
    await fake.until("ReceiveMessage", polls + 2)

    assert ids(await subscription.receive(10)) == [], "it is here already"
    await subscription.settle(held)
    assert bodies(fake) == []


async def test_what_another_reader_has_got_meanwhile_is_neither_deleted_nor_extended(make, fake, clock):
    transport, other = await opened(make), await opened(make)
    await transport.publish(CHANNEL, series(1))
    subscription = await reading(transport)
    held = await received(subscription, 1)
    [message] = the_queue(fake).messages.values()
    message.receives += 1  # somebody has it, with a handle of his own

    await clock.let_pass(VISIBILITY / 3)
    await subscription.settle(held)

    assert bodies(fake) == ["e0"]
    assert fake.of("DeleteMessageBatch") == []
    await other.close()


async def test_an_extension_that_sqs_did_not_answer_is_tried_again(make, fake, clock):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(1))
    subscription = await reading(transport)
    held = await received(subscription, 1)
    fake.trouble(EXTEND, Trouble(503), Trouble(close=True))

    await clock.let_pass(2 * VISIBILITY)

    await subscription.settle(held)
    assert bodies(fake) == []
    assert len(fake.of(EXTEND)) >= 3


async def test_an_extension_that_is_throttled_for_one_message_loses_none(make, fake, clock):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(3))
    subscription = await reading(transport)
    held = await received(subscription, 3)
    fake.refuse(EXTEND, 1, Refusal("RequestThrottled", "slower"))

    await clock.let_pass(2 * VISIBILITY)

    await subscription.settle(held)
    assert bodies(fake) == []


async def test_a_delete_that_is_throttled_for_one_message_is_tried_again(make, fake, clock):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(3))
    subscription = await reading(transport)
    held = await received(subscription, 3)
    fake.refuse("DeleteMessageBatch", 1, Refusal("RequestThrottled", "slower"))

    settling = asyncio.ensure_future(subscription.settle(held))
    await clock.sleeping(2)  # the extending task, and this one
    await clock.let_pass(1)

    await settling
    assert bodies(fake) == []


async def test_a_delete_that_fails_leaves_only_its_own_ten(make, fake):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(25))
    subscription = await reading(transport)
    held = await received(subscription, 25)
    fake.trouble("DeleteMessageBatch", Trouble(400, "InvalidAddress"))

    with pytest.raises(TransportError, match="InvalidAddress"):
        await subscription.settle(held)

    assert len(fake.of("DeleteMessageBatch")) == 3
    assert len(bodies(fake)) in (5, 10)


@pytest.mark.parametrize("done", [False, True])
async def test_a_settle_that_is_cancelled_can_be_done_again(make, fake, clock, done):
    transport = await opened(make)
    await transport.publish(CHANNEL, series(3))
    subscription = await reading(transport)
    held = await received(subscription, 3)
    fake.trouble("DeleteMessageBatch", Trouble(503, done=done))
    settling = asyncio.ensure_future(subscription.settle(held))
    await clock.sleeping(2)  # the extending task, and this one between two tries

    settling.cancel()
    await asyncio.wait([settling])
    await subscription.settle(held)

    assert bodies(fake) == []


@pytest.mark.parametrize("visibility", [VISIBILITY, 7_200, 43_200])
async def test_nothing_is_held_beyond_the_twelve_hours_of_sqs(make, fake, clock, visibility):
    transport = await opened(make, visibilityTimeout=visibility)
    await transport.publish(CHANNEL, series(1))
    subscription = await reading(transport)
    held = await received(subscription, 1)
    fake.requests.clear()

    await clock.let_pass(39_000, step=visibility / 3)
    assert the_queue(fake).in_flight(), "it is still ours"
    await subscription.settle(held)

    assert bodies(fake) == []


async def test_a_long_delay_of_what_was_held_long_is_as_long_as_sqs_allows(make, fake, clock):
    transport = await opened(make, visibilityTimeout=3_600)
    await transport.publish(CHANNEL, series(1))
    subscription = await reading(transport)
    held = await received(subscription, 1)
    await clock.let_pass(36_000, step=1_200)

    await subscription.release(held, 39_600)

    [message] = the_queue(fake).messages.values()
    assert message.visible_at - message.taken_at > 43_000


# ── back-pressure ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_queue_with_too_much_in_flight_is_read_on_when_there_is_room(make, fake, clock, fifo):
    """A standard queue says OverLimit; a FIFO queue gives nothing and says nothing."""
    fake.in_flight = 4
    transport = await opened(make, fifo=fifo)
    await transport.publish(CHANNEL, [numbered(f"e{n}", key=f"k{n}") for n in range(8)])
    subscription = await reading(transport)
    first = await received(subscription, 4)
    polls = len(fake.of("ReceiveMessage"))
    await fake.until("ReceiveMessage", polls + 1)

    await subscription.settle(first)
    clock.advance(1)  # as long as a poll that was refused waits
    second = await received(subscription, 4)

    assert sorted(ids(first + second)) == [f"e{n}" for n in range(8)]


@pytest.mark.parametrize(
    ("fifo", "backlog", "allowed"), [(False, 1, subscriptions.POLLS), (True, 1, 1), (False, 21, 1)]
)
async def test_a_backlog_is_read_by_several_polls_at_a_time_and_an_empty_queue_by_one(
    make, fake, monkeypatch, fifo, backlog, allowed
):
    monkeypatch.setattr(subscriptions, "BACKLOG", backlog)
    transport = await opened(make, fifo=fifo)
    await transport.publish(CHANNEL, [numbered(f"e{n}", key=f"k{n}") for n in range(200)])
    call, now, most = Sqs.call, 0, 0

    async def counted(sqs, action, *rest):
        nonlocal now, most
        now += action == "ReceiveMessage"
        most = max(most, now)
        try:
            return await call(sqs, action, *rest)
        finally:
            now -= action == "ReceiveMessage"

    monkeypatch.setattr(Sqs, "call", counted)
    subscription = await reading(transport)
    held = await received(subscription, 200)
    assert len(set(ids(held))) == 200
    assert most == allowed

    polls = len(fake.of("ReceiveMessage"))
    await fake.until("ReceiveMessage", polls + 3 * allowed)
    assert now <= 1


async def test_what_several_polls_have_brought_is_given_back_when_the_subscription_closes(
    make, fake, monkeypatch
):
    monkeypatch.setattr(subscriptions, "BACKLOG", 1)
    transport = await opened(make)
    await transport.publish(CHANNEL, series(90))
    subscription = await reading(transport)
    await fake.until("ReceiveMessage", 3)

    await subscription.close()

    assert the_queue(fake).in_flight() == []
    assert len(await received(await reading(transport), 90)) == 90


async def test_a_gateway_that_held_all_it_may_reads_on_when_it_has_settled(make, monkeypatch):
    monkeypatch.setattr(subscriptions, "HELD_LIMIT", 4)
    monkeypatch.setattr(subscriptions, "WAIT_SECONDS", 0.01)
    transport = await opened(make)
    await transport.publish(CHANNEL, series(20))
    subscription = await reading(transport)
    first = await received(subscription, 10)
    assert await subscription.receive(10) == (), "it holds too many to ask for more"

    await subscription.settle(first)

    second = await received(subscription, 10)
    assert len({delivery.event.id for delivery in first + second}) == 20


@pytest.mark.parametrize("status", [400, 403, 429, 503])
async def test_a_poll_that_is_throttled_goes_on(make, fake, clock, status):
    transport = await opened(make)
    fake.trouble("ReceiveMessage", *[Trouble(status, "RequestThrottled")] * 3)
    subscription = await reading(transport)
    await transport.publish(CHANNEL, series(1))

    for times in (1, 2, 3):
        await fake.until("ReceiveMessage", times)
        await clock.sleeping(2)  # the extending task, and the poll
        clock.advance(1)

    assert ids(await received(subscription, 1)) == ["e0"]


@pytest.mark.parametrize("status", [400, 403, 429])
async def test_a_publish_that_is_throttled_says_that_nothing_is_stored_and_when_to_try_again(
    make, fake, status
):
    transport = await opened(make)
    fake.trouble("SendMessageBatch", Trouble(status, "RequestThrottled"))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(3))

    assert (raised.value.failed, raised.value.unknown) == ({0, 1, 2}, set())
    assert raised.value.retry_after
    await transport.publish(CHANNEL, series(3))
    assert bodies(fake) == ["e0", "e1", "e2"]


# ── what is promised of a publish ────────────────────────────────────────────────────────────


async def test_a_text_that_sqs_does_not_take_comes_back_as_it_went(make, fake):
    transport = await opened(make)
    text = "".join(map(chr, range(0x20))) + "\x7f\ufffe\uffff\U0001f600 \ufdd0"
    event = Event(
        {**numbered("e0").attributes, "datacontenttype": "text/plain"},
        text.encode(),
        None,
        {"x-trace": "a\x0bb"},
    )

    await transport.publish(CHANNEL, [event])

    [delivery] = await received(await reading(transport), 1)
    assert delivery.event == event
    assert delivery.event.headers == event.headers


async def test_attributes_are_few_and_none_is_empty(make, fake):
    transport = await opened(make)
    more = {f"extension{n}": "x" for n in range(20)}
    event = numbered("e0", empty="", **more)

    await transport.publish(CHANNEL, [event])

    [delivery] = await received(await reading(transport), 1)
    assert delivery.event.attributes == event.attributes


@pytest.mark.parametrize("md5", ["0" * 32, None])
async def test_what_is_stored_with_another_md5_is_not_acknowledged(make, fake, md5):
    transport = await opened(make)
    fake.edit("SendMessageBatch", lambda answer: answer["Successful"][1].update(MD5OfMessageBody=md5))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(3))

    assert (raised.value.failed, raised.value.unknown) == (set(), {1})


async def test_a_message_that_came_damaged_is_left_to_come_again(make, fake, clock):
    transport = await opened(make)
    fake.edit("ReceiveMessage", lambda answer: answer["Messages"][0].update(MD5OfBody="0" * 32))
    await transport.publish(CHANNEL, series(1))
    subscription = await reading(transport)
    await fake.until("ReceiveMessage", 1)

    await clock.let_pass(VISIBILITY + 1)

    [whole] = await received(subscription, 1)
    assert whole.event.id == "e0"


async def test_what_the_answer_does_not_name_is_unknown(make, fake):
    transport = await opened(make)
    fake.edit("SendMessageBatch", lambda answer: answer["Successful"].pop(2))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(4))

    assert (raised.value.failed, raised.value.unknown) == (set(), {2})


async def test_a_batch_that_fails_in_parts_names_exactly_these(make, fake):
    transport = await opened(make)
    fake.refuse("SendMessageBatch", 1, Refusal("InternalError", "sorry", sender=False))
    fake.refuse("SendMessageBatch", 4, Refusal("InvalidMessageContents", "no"))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(6))

    assert (raised.value.failed, raised.value.unknown) == ({1, 4}, set())
    assert bodies(fake) == ["e0", "e2", "e3", "e5"]


async def test_one_of_several_batches_that_fails_harms_no_other(make, fake):
    transport = await opened(make)
    fake.trouble("SendMessageBatch", Trouble(500, done=True))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(25))

    assert raised.value.failed == set()
    assert raised.value.unknown in (set(range(10)), set(range(10, 20)), set(range(20, 25)))
    assert len(bodies(fake)) == 25


@pytest.mark.parametrize("done", [False, True])
async def test_a_connection_that_closes_amid_a_publish_leaves_it_unknown(make, fake, done):
    transport = await opened(make)
    fake.trouble("SendMessageBatch", Trouble(close=True, done=done))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(2))

    assert (raised.value.failed, raised.value.unknown) == (set(), {0, 1})
    await transport.publish(CHANNEL, series(2))
    assert bodies(fake) == ["e0", "e1"]


async def test_large_events_are_sent_in_batches_that_sqs_takes(make, fake):
    transport = await opened(make)
    events = [numbered(f"e{n}", b'"%s"' % (b"x" * 300_000)) for n in range(7)]

    await transport.publish(CHANNEL, events)

    assert sorted(len(request.entries) for request in fake.of("SendMessageBatch")) == [1, 2, 2, 2]
    assert len(bodies(fake)) == 7


async def test_a_crowd_of_publishes_makes_few_connections_at_a_time(make, fake, monkeypatch):
    transport = await opened(make)
    connect, now, most = asyncio.open_connection, 0, 0

    async def counted(*where, **how):
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        try:
            return await connect(*where, **how)
        finally:
            now -= 1

    monkeypatch.setattr("mesh_gateway_sqs.http.asyncio.open_connection", counted)
    async with asyncio.TaskGroup() as tasks:
        for n in range(500):
            tasks.create_task(transport.publish(CHANNEL, series(1, f"{n}-")))

    assert 1 < most <= CONNECTING
    assert len(the_queue(fake).messages) == 500


# ── credentials and queues ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("profile", "said"), [("wrong", "SignatureDoesNotMatch"), ("stranger", "InvalidClient")]
)
async def test_credentials_that_are_refused_are_named(make, fake, profile, said):
    transport = make(profile=profile)

    async with asyncio.timeout(5):
        with pytest.raises(NotPermitted, match=said):
            await transport.open()

    assert [check.ok for check in await transport.check()] == [False]


@pytest.mark.parametrize("action", ["GetQueueUrl", "SendMessage", "ReceiveMessage"])
async def test_a_permission_that_is_missing_is_named_with_its_queue(make, fake, action):
    await opened(make)
    fake.allowed["AKLIMITED"] = {"ListQueues", "GetQueueUrl", "SendMessage", "ReceiveMessage"} - {action}
    transport = make(profile="limited")
    await transport.open()

    async def use() -> None:
        await transport.publish(CHANNEL, series(1))
        await received(await reading(transport), 1)

    with pytest.raises((NotPermitted, PublishError), match=rf"sqs:{action} on .*t_shop_orders"):
        await use()


@pytest.mark.parametrize("action", ["GetQueueUrl", "GetQueueAttributes"])
async def test_a_check_names_the_queue_that_may_not_be_asked_for(make, fake, action):
    assert all(check.ok for check in await (await opened(make)).check())
    fake.allowed["AKLIMITED"] = {"ListQueues", "GetQueueUrl", "GetQueueAttributes"} - {action}
    transport = make(profile="limited")
    await transport.ensure(SPEC, Ensure.OFF)

    [wrong] = [check for check in await transport.check() if not check.ok]

    assert (wrong.name, wrong.level) == ("t_shop_orders", Level.PERMISSION)
    assert f"sqs:{action}" in wrong.detail


async def test_a_check_names_the_queue_that_is_not_there(make, fake):
    transport = await opened(make)
    await transport.ensure(ChannelSpec("shop", "orders", purpose=Purpose.DEAD_LETTERS), Ensure.OFF)

    [wrong] = [check for check in await transport.check() if not check.ok]

    assert (wrong.name, wrong.level) == ("t_shop_orders_dead-letters", Level.TOPOLOGY)
    assert len(fake.queues) == 1, "nothing is made"


@pytest.mark.parametrize("status", [400, 403])
async def test_credentials_that_have_expired_are_named_and_taken_when_they_are_renewed(make, fake, status):
    transport = await opened(make)
    fake.expired["AKID"] = status

    async with asyncio.timeout(5):
        with pytest.raises(NotPermitted, match="ExpiredToken"):
            await make().open()
        with pytest.raises(PublishError, match="ExpiredToken") as raised:
            await transport.publish(CHANNEL, series(1))

    assert raised.value.failed == {0}
    fake.expired.clear()
    await transport.publish(CHANNEL, series(1))
    assert bodies(fake) == ["e0"]


async def test_a_reader_whose_credentials_expire_hears_of_it(make, fake):
    transport = await opened(make)
    subscription = await reading(transport)
    fake.expired["AKID"] = 403

    with pytest.raises(NotPermitted, match="ExpiredToken"):
        await received(subscription, 1)

    fake.expired.clear()  # for the end: what is held is given back


async def test_a_queue_that_is_deleted_is_an_error_and_is_not_made_again_in_silence(make, fake):
    transport = await opened(make)
    subscription = await reading(transport)
    fake.queues.clear()

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(1))
    with pytest.raises(ChannelGone):
        await received(subscription, 1)

    assert isinstance(raised.value.__cause__, ChannelGone)
    assert fake.queues == {}


@pytest.mark.parametrize("trouble", [Trouble(500), Trouble(close=True, done=True)])
async def test_a_reader_whose_poll_breaks_is_told_to_come_again(make, fake, trouble):
    transport = await opened(make)
    fake.trouble("ReceiveMessage", trouble)
    subscription = await reading(transport)

    with pytest.raises(ConnectionLost):
        await received(subscription, 1)


async def test_a_reader_hears_of_a_bug_that_ended_the_polling(make, monkeypatch):
    def broken(body, attributes):
        raise RuntimeError("a bug")

    monkeypatch.setattr(subscriptions, "decode", broken)
    monkeypatch.setattr(subscriptions, "WAIT_SECONDS", 0.01)
    transport = await opened(make)
    await transport.publish(CHANNEL, series(1))

    with pytest.raises(RuntimeError, match="a bug"):
        await received(await reading(transport), 1)


@pytest.mark.parametrize("trouble", [Trouble(500), Trouble(close=True)])
async def test_a_server_that_breaks_off_the_greeting_is_a_lost_connection(make, fake, trouble):
    fake.trouble("ListQueues", trouble)

    with pytest.raises(ConnectionLost):
        await make().open()


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("MessageRetentionPeriod", "60", ("1209600", "60")),
        ("MaximumMessageSize", "262144", ("1048576", "262144")),
        ("RedrivePolicy", '{"maxReceiveCount": 3}', ("none", '{"maxReceiveCount": 3}')),
        ("VisibilityTimeout", "5", None),  # each receive says its own
        ("MaximumMessageSize", "1048576", None),
    ],
)
async def test_a_setting_that_would_lose_events_is_told_and_left_as_it_is(make, fake, setting, value, told):
    transport = await opened(make)
    the_queue(fake).settings[setting] = value

    for mode in (Ensure.VERIFY, Ensure.CREATE):
        drifts = await transport.ensure(SPEC, mode)
        assert [(drift.wanted, drift.found) for drift in drifts] == ([told] if told else [])
        assert all(setting in drift.what and drift.hint for drift in drifts)
    assert the_queue(fake).settings[setting] == value


# ── FIFO ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_fifo_group_comes_in_its_order_also_after_a_release(make, fake):
    transport = await opened(make, fifo=True)
    events = [numbered(f"{key}{n:02}", key=key) for n in range(15) for key in "ab"]
    await transport.publish(CHANNEL, events)
    subscription = await reading(transport)

    found: list[str] = []
    while len(found) < len(events):
        # SQS gives ten, and no more of their groups until these are settled or released.
        await subscription.release(await received(subscription, 10))
        batch = await received(subscription, 10)
        found += ids(batch)
        await subscription.settle(batch)

    for key in "ab":
        assert [id for id in found if id[0] == key] == [f"{key}{n:02}" for n in range(15)]


async def test_what_is_given_back_of_a_fifo_group_comes_before_what_had_arrived_behind_it(make, fake):
    transport = await opened(make, fifo=True)
    await transport.publish(CHANNEL, series(4, key="k"))
    subscription = await reading(transport)
    [first, second] = await received(subscription, 2)

    await subscription.release([first, second])

    assert ids(await received(subscription, 4)) == ["e0", "e1", "e2", "e3"]


async def test_a_fifo_queue_takes_an_event_once_within_five_minutes(make, fake, clock):
    transport = await opened(make, fifo=True)

    await transport.publish(CHANNEL, series(2))
    await transport.publish(CHANNEL, series(2))
    assert stored(fake, "e0") == 1

    await clock.let_pass(301)
    await transport.publish(CHANNEL, series(2))
    assert stored(fake, "e0") == 2


async def test_a_fifo_publish_that_fails_stops_what_is_behind_it(make, fake):
    transport = await opened(make, fifo=True)
    fake.trouble("SendMessageBatch", Trouble(500))

    with pytest.raises(PublishError) as raised:
        await transport.publish(CHANNEL, series(25))

    assert raised.value.unknown == set(range(10))
    assert raised.value.failed == set(range(10, 25))
    assert bodies(fake) == []


# ── unreadable events, and the clock ──────────────────────────────────────────────────────────


async def test_what_is_no_event_waits_with_the_dead_letters_and_leaves_its_queue(make, fake, unreadable):
    transport = await opened(make)
    dead = ChannelSpec("shop", "orders", purpose=Purpose.DEAD_LETTERS)
    await transport.ensure(dead, Ensure.CREATE)
    queue = next(queue for name, queue in fake.queues.items() if "dead" not in name)
    for body in (junk := ["junk", "[" * 50_000, '{"specversion": "1.0"}']):
        queue.send({"MessageBody": body})
    await transport.publish(CHANNEL, series(1))
    subscription = await reading(transport)

    await subscription.settle(await received(subscription, 1))
    await fake.until("DeleteMessageBatch", 4)

    assert queue.messages == {}
    assert [channel for channel, _ in unreadable] == [CHANNEL] * 3
    letters = await transport.browse(dead.name, after=None, limit=10)
    assert {letter.event.data for letter in letters} == {body.encode() for body in junk}


async def test_what_is_no_event_keeps_what_stood_beside_it(make, fake):
    transport = await opened(make)
    dead = ChannelSpec("shop", "orders", purpose=Purpose.DEAD_LETTERS)
    await transport.ensure(dead, Ensure.CREATE)
    queue = next(queue for name, queue in fake.queues.items() if "dead" not in name)
    attributes = {"from": {"DataType": "String", "StringValue": "billing"}}
    queue.send({"MessageBody": "junk", "MessageAttributes": attributes})
    await reading(transport)

    await fake.until("DeleteMessageBatch", 1)

    [letter] = await transport.browse(dead.name, after=None, limit=10)
    assert letter.event.attributes["meshheaders"] == '{"from": "billing"}'


@pytest.mark.parametrize(
    "answer", [{"Messages": 7}, {"Messages": [{"MessageId": "without the rest"}]}, {"Messages": [None]}]
)
async def test_an_answer_that_is_none_of_sqs_is_a_lost_connection(make, fake, answer):
    transport = await opened(make)
    fake.edit("ReceiveMessage", lambda given: given.update(answer))
    await transport.publish(CHANNEL, series(1))

    with pytest.raises(ConnectionLost, match="no answer"):
        await received(await reading(transport), 1)


async def test_what_is_no_event_and_fills_a_message_waits_in_pieces(make, fake):
    transport = await opened(make)
    dead = ChannelSpec("shop", "orders", purpose=Purpose.DEAD_LETTERS)
    await transport.ensure(dead, Ensure.CREATE)
    queue = next(queue for name, queue in fake.queues.items() if "dead" not in name)
    junk = "é" * (LARGEST // 2)
    queue.send({"MessageBody": junk})
    await reading(transport)

    await fake.until("DeleteMessageBatch", 1)

    assert queue.messages == {}
    letters = [letter.event for letter in await transport.browse(dead.name, after=None, limit=10)]
    letters.sort(key=lambda letter: letter.attributes["meshpart"])
    assert b"".join(letter.data or b"" for letter in letters) == junk.encode()


async def test_looking_at_dead_letters_ends_though_the_first_come_again(make, fake, clock, monkeypatch):
    transport = await opened(make)
    dead = ChannelSpec("shop", "orders", purpose=Purpose.DEAD_LETTERS)
    await transport.ensure(dead, Ensure.CREATE)
    await transport.publish(dead.name, series(80))
    call = Sqs.call

    async def slow(sqs, action, *rest):
        clock.advance(50)
        return await call(sqs, action, *rest)

    monkeypatch.setattr(Sqs, "call", slow)
    async with asyncio.timeout(20):
        letters = await transport.browse(dead.name, after=None, limit=100)

    assert letters
    assert len(fake.of("ReceiveMessage")) < 8


async def test_a_clock_that_is_moved_by_hand_wakes_whoever_is_due():
    clock = HandClock()
    sleeping = asyncio.ensure_future(clock.sleep(5))
    await clock.sleeping(1)

    await clock.let_pass(4)
    assert not sleeping.done()
    await clock.let_pass(1)

    assert sleeping.done()
