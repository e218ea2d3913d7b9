"""Against the real server: who we are, how our messages lie in its queues, and what others put there."""

from __future__ import annotations

import os

import pytest
from mesh_gateway_rabbitmq import fields, frames
from mesh_gateway_rabbitmq.letters import CREDIT
from mesh_gateway_rabbitmq.link import Link
from mesh_gateway_rabbitmq.publisher import Confirming
from mesh_gateway_rabbitmq.transport import RabbitTransport

from mesh_gateway.errors import ConnectionLost, NotPermitted
from mesh_gateway.testing.harness import ids, numbered, positions_by_id, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Ensure,
    Level,
    Purpose,
    Stored,
)
from plugins.rabbitmq.tests.beside import raised_by, receive, until

BROKER = ChannelSpec("n", "b")
LETTERS = ChannelSpec("n", "b", Purpose.DEAD_LETTERS, groups=(OPERATORS,))
PARKED = ChannelSpec("n", "b", Purpose.PARKED, trigger="t")
KNATIVES = {"specversion": "1.0", "id": "k", "source": "/s", "type": "t"}

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
async def transport(make) -> RabbitTransport:
    """Open, with a broker's channels."""
    transport: RabbitTransport = make()
    await transport.open()
    for spec in (BROKER, LETTERS):
        assert await transport.ensure(spec, Ensure.CREATE) == []
    return transport


@pytest.fixture
def queue(own: str) -> str:
    return f"{own}.n.b"


async def letters_of(transport: RabbitTransport, count: int) -> list[Stored]:
    """So many dead letters, as soon as they are there."""
    found: list[Stored] = []

    async def there() -> bool:
        found[:] = await transport.browse(LETTERS.name, after=None, limit=100)
        return len(found) >= count

    await until(there)
    return found


async def put_raw(transport: RabbitTransport, exchange: str, properties: bytes, body: bytes) -> None:
    """Publish what no client library would, and see that a queue took it."""
    link = await Link.open(transport._address(), heartbeat=60, name="somebody else")
    try:
        confirming = await Confirming.open(link)
        pending = confirming.send(exchange, [(properties, body)])
        await pending.done
        assert not pending.returned
    finally:
        await link.close()


# ── who we are ───────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_password_is_named_and_not_shown(make):
    transport = make(password="wrong-canary")

    with pytest.raises(NotPermitted, match="does not allow us to log in") as raised:
        await transport.open()

    [check] = await transport.check()
    assert (check.ok, check.level) == (False, Level.AUTH)
    assert "wrong-canary" not in f"{raised.value}{check}"


async def test_a_virtual_host_that_is_not_there_is_named(make, operator):
    absent = f"{operator.vhost}-absent"
    transport = make(url=f"{operator.url}-absent")

    with pytest.raises(NotPermitted, match=f"{absent}.*not found"):
        await transport.open()

    [check] = await transport.check()
    assert (check.ok, check.level) == (False, Level.AUTH)
    assert absent in check.detail


async def test_a_user_without_permissions_learns_what_is_missing(make, operator, own):
    await operator.ask("PUT", f"users/{own}", {"password": "secret", "tags": ""})
    try:
        outside = make(username=own, password="secret")
        with pytest.raises(NotPermitted, match=f"access to vhost '{operator.vhost}' refused"):
            await outside.open()

        await operator.ask(
            "PUT", f"permissions/{operator.vhost}/{own}", {"configure": "^$", "write": "^$", "read": "^$"}
        )
        inside, owner = make(username=own, password="secret"), make()
        await owner.open()
        await owner.ensure(BROKER, Ensure.CREATE)
        await inside.open()
        for doing in (
            lambda: inside.ensure(BROKER, Ensure.CREATE),
            lambda: inside.publish(BROKER.name, series(1)),
            lambda: inside.subscribe(BROKER.name, SHARED, EARLIEST),
        ):
            with pytest.raises(NotPermitted, match=f"{own}.n.b' in vhost '{operator.vhost}' refused"):
                await doing()
    finally:
        await operator.ask("DELETE", f"users/{own}")


@pytest.mark.parametrize("missing", ["write", "read"])
async def test_a_check_names_what_is_not_there_and_what_may_not_be_done(make, operator, own, missing):
    owner, user = make(), make(username=own, password="secret")
    allowed = {"configure": "^$", "write": ".*", "read": ".*", missing: "^$"}
    await operator.ask("PUT", f"users/{own}", {"password": "secret", "tags": ""})
    try:
        await operator.ask("PUT", f"permissions/{operator.vhost}/{own}", allowed)
        await owner.open()
        await owner.ensure(BROKER, Ensure.CREATE)
        assert all(check.ok for check in await owner.check())
        for spec in (BROKER, LETTERS):
            await user.ensure(spec, Ensure.OFF)

        wrong = [(check.name, check.level, check.detail) for check in await user.check() if not check.ok]
    finally:
        await operator.ask("DELETE", f"users/{own}")

    [refused, absent] = wrong
    assert refused[:2] == (f"{own}.n.b", Level.PERMISSION)
    assert f"{missing} access" in refused[2]
    assert absent[:2] == (f"{own}.n.b:dead-letters", Level.TOPOLOGY)
    bindings = await operator.ask("GET", f"queues/{operator.vhost}/{own}.n.b/bindings")
    assert sorted(binding["source"] for binding in bindings) == ["", f"{own}.n.b"], "nothing was changed"


async def test_tls_is_verified(make, operator):
    url, authority = os.environ["MESH_TEST_RABBITMQ_TLS"], os.environ["MESH_TEST_CA"]
    url = url.rstrip("/") + "/" + operator.vhost
    trusting = make(url=url, tls={"caFile": authority})
    await trusting.open()
    await trusting.ensure(BROKER, Ensure.CREATE)
    await trusting.publish(BROKER.name, series(1))
    assert all(check.ok for check in await trusting.check())

    for tls in ({}, None):
        with pytest.raises(NotPermitted, match="not trusted"):
            await make(url=url, tls=tls).open()


async def test_an_authority_that_cannot_be_read_is_named(make, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing of the sort")

    for file in ("ca.pem", "absent.pem"):
        with pytest.raises(NotPermitted, match="TLS of RabbitMQ cannot be set up"):
            await make(tls={"caFile": str(tmp_path / file)}).open()


async def test_the_wrong_one_of_the_two_ports_is_no_way_in(make, operator):
    plain, secure = operator.url, os.environ["MESH_TEST_RABBITMQ_TLS"]

    for url in (plain.replace("amqp://", "amqps://"), secure.replace("amqps://", "amqp://")):
        with pytest.raises(ConnectionLost):
            await make(url=url).open()


# ── how our messages lie there ───────────────────────────────────────────────────────────────


async def test_a_message_is_persistent_and_its_id_is_fresh_for_every_attempt(transport, operator, queue):
    for _ in range(2):
        await transport.publish(BROKER.name, [numbered("same"), numbered("same")])

    found = [message["properties"] for message in await operator.peek(queue, 10)]

    assert [properties["delivery_mode"] for properties in found] == [2] * 4
    assert {properties["headers"]["ce-id"] for properties in found} == {"same"}
    names = {properties["message_id"] for properties in found}
    assert len(names) == 4
    assert "same" not in names


async def test_queues_are_replicated_and_limit_no_deliveries_and_dead_letters_are_a_stream(
    transport, operator, queue
):
    await transport.ensure(PARKED, Ensure.CREATE)

    for name in (queue, f"{queue}:parked:t"):
        found = await operator.queue(name)
        assert (found["type"], found["durable"], found["auto_delete"]) == ("quorum", True, False)
        assert found["arguments"] == {"x-queue-type": "quorum", "x-delivery-limit": -1}
    letters = await operator.queue(f"{queue}:dead-letters.operators")
    assert (letters["type"], letters["durable"]) == ("stream", True)


async def test_publishing_asking_and_each_reader_have_a_connection_of_their_own(transport, operator, queue):
    await transport.ensure(PARKED, Ensure.CREATE)
    await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    parked = await transport.subscribe(PARKED.name, SHARED, EARLIEST)
    await transport.publish(BROKER.name, series(1))
    assert (await transport.backlog(BROKER.name, SHARED)).events == 1

    async def confirming() -> set[str]:
        channels = await operator.ask("GET", f"vhosts/{operator.vhost}/channels")
        return {channel["connection_details"]["name"] for channel in channels if channel.get("confirm")}

    async def consuming(name: str) -> list[str]:
        consumers = (await operator.queue(name)).get("consumer_details") or []
        return [one["channel_details"]["connection_name"] for one in consumers]

    names = (queue, f"{queue}:parked:t")

    async def known() -> bool:
        return bool(await confirming()) and all([await consuming(name) for name in names])

    await until(known)
    connections = await operator.connections()
    ours = {"publish", "ask", *(f"consume {name}" for name in names)}
    assert ours <= connections.keys()
    assert len({connections[one] for one in ours}) == 4
    assert await confirming() == {connections["publish"]}
    for name in names:
        assert await consuming(name) == [connections[f"consume {name}"]]

    await parked.close()

    async def left() -> bool:
        return f"consume {names[1]}" not in await operator.connections()

    await until(left)


async def test_what_differs_from_the_documents_is_told_and_left_as_it_is(make, operator, queue):
    await operator.ask(
        "PUT", f"queues/{operator.vhost}/{queue}", {"durable": True, "arguments": {"x-queue-type": "classic"}}
    )
    transport = make()
    await transport.open()

    [drift] = await transport.ensure(BROKER, Ensure.CREATE)

    assert (drift.what, "x-queue-type: quorum" in drift.wanted) == (f"queue {queue}", True)
    assert "x-queue-type" in drift.found
    assert (await operator.queue(queue))["type"] == "classic"


# ── what others put there ────────────────────────────────────────────────────────────────────


async def test_junk_is_parked_with_its_bytes_and_the_queue_goes_on(transport, operator, queue, unreadable):
    await transport.publish(BROKER.name, series(1, "before"))
    await operator.put(queue, b"\x00junk\xff", headers={"origin": "legacy"}, content_type="x/y")
    await operator.put(queue, b"half", headers={"ce-specversion": "1.0"}, message_id="theirs")
    await operator.put(queue, b"[" * 50_000, content_type="application/cloudevents+json")
    await transport.publish(BROKER.name, series(1, "after"))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    found = await receive(subscription, 2)
    await subscription.settle(found)
    letters = [letter.event for letter in await letters_of(transport, 3)]
    await subscription.close()

    assert ids(found) == ["before0", "after0"]
    by_data = {letter.data: letter.attributes for letter in letters}
    assert by_data.keys() == {b"\x00junk\xff", b"half", b"[" * 50_000}
    assert by_data[b"\x00junk\xff"]["meshheaders"] == '{"origin": "legacy", "(content_type)": "x/y"}'
    assert (by_data[b"half"]["id"], "id: missing" in by_data[b"half"]["meshreason"]) == ("theirs", True)
    assert [channel for channel, _ in unreadable] == [BROKER.name] * 3
    assert (await transport.backlog(BROKER.name, SHARED)).events == 0, "the junk is settled too"


async def test_junk_of_the_largest_size_is_parked_in_pieces(make, operator, queue):
    transport = make(maxMessageBytes=64 * 1024)
    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)
    junk = os.urandom(64 * 1024)
    await operator.put(queue, junk)
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    assert await subscription.receive(10) == []
    letters = await letters_of(transport, 2)

    assert b"".join(letter.event.data or b"" for letter in letters) == junk
    await subscription.close()
    assert (await transport.backlog(BROKER.name, SHARED)).events == 0


async def test_a_reader_hears_of_a_bug_that_ended_the_parking(transport, operator, queue, monkeypatch):
    async def broken(channel: str, events: object) -> None:
        raise ZeroDivisionError("a bug")

    await operator.put(queue, b"junk")
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    with monkeypatch.context() as patch:
        patch.setattr(transport, "publish", broken)

        assert isinstance(await raised_by(subscription), ZeroDivisionError)

    await subscription.close()
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    assert await subscription.receive(10) == []
    [letter] = await letters_of(transport, 1)
    assert letter.event.data == b"junk"


async def test_junk_waits_unsettled_while_there_is_nowhere_to_park_it(make, operator, queue, unreadable):
    transport = make()
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await operator.put(queue, b"junk")
    await transport.publish(BROKER.name, series(1))
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await subscription.settle(await receive(subscription, 1))
    await subscription.close()

    async def back() -> bool:
        return (await transport.backlog(BROKER.name, SHARED)).events == 1

    await until(back)
    [message] = await operator.peek(queue, 10)
    assert message["payload"] == "anVuaw=="
    assert unreadable == []


@pytest.mark.parametrize("name", ["a\nb", "\x00", "\ufffe"])
async def test_junk_whose_id_no_attribute_can_hold_is_parked_all_the_same(transport, operator, queue, name):
    await operator.put(queue, b"junk", message_id=name)
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    assert await subscription.receive(10) == []

    [letter] = await letters_of(transport, 1)
    assert letter.event.data == b"junk"


async def test_junk_without_an_id_has_the_same_one_when_it_comes_again(make, operator, queue):
    transport = make()
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await operator.put(queue, b"junk", headers={"n": 1})
    for _ in range(2):  # handed out, not parked, and given back
        subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
        assert await subscription.receive(10) == []
        await subscription.close()
    await transport.ensure(LETTERS, Ensure.CREATE)

    await operator.put(queue, b"junk", headers={"n": 1})
    await operator.put(queue, b"junk", headers={"n": 2})
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    letters: list[Stored] = []

    async def parked() -> bool:
        assert not await subscription.receive(10)  # the three need not come together
        letters[:] = await transport.browse(LETTERS.name, after=None, limit=100)
        return len(letters) >= 3

    await until(parked)
    found = [letter.event.attributes for letter in letters]
    assert len(found) == 3
    assert len({attributes["id"] for attributes in found}) == 2
    assert len({(attributes["id"], attributes["meshheaders"]) for attributes in found}) == 2


async def test_an_event_that_its_publisher_gave_no_id_has_the_same_position_when_it_comes_again(
    transport, operator, queue
):
    for id in ("1", "2"):
        await operator.put(queue, b"{}", headers={f"ce-{k}": v for k, v in {**KNATIVES, "id": id}.items()})
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    first = await receive(subscription, 2)
    await subscription.release(first)

    again = positions_by_id(await receive(subscription, 2))

    assert again == positions_by_id(first)
    assert len(set(again.values())) == 2


async def test_headers_whose_names_are_no_text_are_junk(transport, queue):
    table = b"\x02\xff\xfeS\x00\x00\x00\x01x"
    properties = frames.struct.pack(">HI", fields.HEADERS, len(table)) + table
    await put_raw(transport, queue, properties, b"junk")
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    assert await subscription.receive(10) == []

    [letter] = await letters_of(transport, 1)
    assert letter.event.data == b"junk"
    assert "cannot be read" in letter.event.attributes["meshreason"]


@pytest.mark.parametrize("prefix", ["", "ce-", "cloudEvents:", "cloudEvents_"])
async def test_attributes_are_read_as_others_write_them(transport, operator, queue, prefix):
    given = {prefix + name: value for name, value in KNATIVES.items()}
    given |= {f"{prefix}flag": True, f"{prefix}count": 3}
    await operator.put(queue, b'{"a": 1}', headers=given, content_type="application/json")
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    [delivery] = await receive(subscription, 1)

    assert dict(delivery.event.attributes) == KNATIVES | {
        "flag": "true",
        "count": "3",
        "datacontenttype": "application/json",
    }
    assert delivery.event.data == b'{"a": 1}'


async def test_what_knatives_broker_adds_is_no_attribute(transport, operator, queue):
    beside = {"time": "0001-01-01T00:00:00Z", "traceparent": "00-x", "content-type": "text/plain", "x-y": 1}
    await operator.put(queue, b"hello", headers=KNATIVES | beside, content_type="text/plain")
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    [delivery] = await receive(subscription, 1)

    assert dict(delivery.event.attributes) == KNATIVES | {"datacontenttype": "text/plain"}


async def test_a_structured_message_of_somebody_else_is_read(transport, operator, queue):
    body = b'{"specversion": "1.0", "id": "k", "source": "/s", "type": "t", "count": 3, "data": [1, 2.50]}'
    await operator.put(queue, body, content_type="application/cloudevents+json; charset=utf-8")
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    [delivery] = await receive(subscription, 1)

    assert (delivery.event.id, delivery.event.attributes["count"]) == ("k", "3")
    assert delivery.event.data == b"[1, 2.50]"


async def test_removed_dead_letters_stay_removed_for_the_next_connection(make, transport):
    await transport.publish(LETTERS.name, series(3))
    found = await transport.browse(LETTERS.name, after=None, limit=10)
    assert await transport.remove(LETTERS.name, [found[1].position]) == 1
    await transport.close()

    other = make()
    await other.open()
    left = await other.browse(LETTERS.name, after=None, limit=10)

    assert [one.event.id for one in left] == ["e0", "e2"]


async def test_more_dead_letters_than_are_on_their_way_at_once_are_all_shown_and_each_once(transport):
    await transport.publish(LETTERS.name, series(3 * CREDIT))
    found: list[Stored] = []

    while page := await transport.browse(
        LETTERS.name, after=found[-1].position if found else None, limit=CREDIT + 50
    ):
        found += page

    assert [one.event.id for one in found] == [event.id for event in series(3 * CREDIT)]
