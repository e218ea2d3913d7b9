"""What only a real RabbitMQ can show: who may come in, what a queue is, whose messages are read, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from mesh_gateway_rabbitmq.transport import RabbitTransport
from pamqp import commands

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, PublishError, StoreFull
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Purpose,
    Subscription,
)

API = os.environ.get("MESH_TEST_RABBITMQ_API", "")
TLS = os.environ.get("MESH_TEST_RABBITMQ_TLS", "")
AUTHORITY = os.environ.get("MESH_TEST_CA", "")
PATIENCE = 30

BROKER = ChannelSpec("n", "b")
LETTERS = ChannelSpec("n", "b", Purpose.DEAD_LETTERS, groups=(OPERATORS,))

pytestmark = pytest.mark.usefixtures("url")

Make = Callable[..., RabbitTransport]


@pytest.fixture(autouse=True)
async def _nothing_left(own: str) -> AsyncIterator[None]:
    """Deletes the exchanges and queues of this test at its end."""
    yield
    for what in ("queues", "exchanges"):
        for found in await api("GET", f"{what}/%2F?page=1&page_size=100&name={own}"):
            await api("DELETE", f"{what}/%2F/{quote(found['name'], safe='')}")


@pytest.fixture
async def transport(make: Make) -> RabbitTransport:
    """An open one, with a broker and its dead letters."""
    transport = make()
    await transport.open()
    for spec in (BROKER, LETTERS):
        await transport.ensure(spec, Ensure.CREATE)
    return transport


async def api(method: str, path: str, body: object = None) -> Any:
    """One call of the management API; the items of a page."""
    request = urllib.request.Request(
        f"{API}/api/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
            "content-type": "application/json",
        },
    )

    def call() -> Any:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            text = response.read()
        found = json.loads(text) if text else None
        return found["items"] if isinstance(found, dict) and "items" in found else found

    return await asyncio.to_thread(call)


async def queue(transport: RabbitTransport, verb: str = "GET", more: str = "", body: object = None) -> Any:
    """A call about the broker's queue."""
    name = quote(transport._queue(BROKER.name, SHARED), safe="")
    return await api(verb, f"queues/%2F/{name}{more}", body)


async def sent_by_somebody_else(transport: RabbitTransport, properties: object, payload: str) -> None:
    message = {
        "properties": properties, "payload": payload, "payload_encoding": "string", "routing_key": "",
    }  # fmt: skip
    exchange = quote(transport._exchange(BROKER.name), safe="")
    assert (await api("POST", f"exchanges/%2F/{exchange}/publish", message))["routed"]


async def connections(transport: RabbitTransport, count: int) -> list[dict[str, Any]]:
    """Our connections as the server lists them, once there are so many: it gathers them every few seconds."""
    name = transport._context.name
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [
                one
                for one in await api("GET", "connections")
                if name in one.get("client_properties", {}).get("connection_name", "")
            ]
            if len(found) == count:
                return found
            await asyncio.sleep(0.1)


async def receive(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


def event(id: str = "1") -> Event:
    return Event.new(type="t", source="/s", id=id, data=b"data")


# ── who we are ───────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_password_is_named_and_not_shown(make: Make):
    with pytest.raises(NotPermitted) as raised:
        await make(username="guest", password="canary-word").open()

    assert "canary-word" not in str(raised.value)


async def test_a_virtual_host_that_is_not_there_is_named(make: Make, url: str):
    where = urlsplit(url)
    with pytest.raises(NotPermitted, match="nowhere"):
        await make(url=where._replace(path="/nowhere").geturl()).open()


async def test_tls_with_the_servers_authority_works(make: Make):
    transport = make(url=TLS, tls={"caFile": AUTHORITY})
    await transport.open()
    await transport.ensure(BROKER, Ensure.CREATE)
    await transport.publish(BROKER.name, [event()])


async def test_a_certificate_that_nobody_vouches_for_is_refused(make: Make):
    with pytest.raises(NotPermitted, match="not trusted"):
        await make(url=TLS).open()


# ── what is made there ───────────────────────────────────────────────────────────────────────


async def test_a_queue_is_a_durable_quorum_queue_without_a_limit_of_deliveries(transport: RabbitTransport):
    found = await queue(transport)

    assert (found["type"], found["durable"]) == ("quorum", True)
    assert found["arguments"]["x-delivery-limit"] == -1


async def test_a_queue_of_another_type_is_told_and_left_alone(transport: RabbitTransport):
    await queue(transport, "DELETE")
    await queue(transport, "PUT", body={"durable": True, "arguments": {"x-queue-type": "classic"}})

    [drift] = await transport.ensure(BROKER, Ensure.CREATE)

    assert "x-queue-type" in drift.found
    assert (await queue(transport))["type"] == "classic"


async def test_verify_says_that_a_queue_is_missing_and_makes_none(transport: RabbitTransport):
    await queue(transport, "DELETE")

    with pytest.raises(ChannelGone):
        await transport.ensure(BROKER, Ensure.VERIFY)
    with pytest.raises(ChannelGone):
        await transport.ensure(BROKER, Ensure.VERIFY)


async def test_publishing_and_consuming_have_connections_of_their_own(transport: RabbitTransport):
    names = {one["client_properties"]["connection_name"] for one in await connections(transport, 2)}

    assert len(names) == 2


# ── publishing ───────────────────────────────────────────────────────────────────────────────


async def test_messages_are_persistent_and_each_attempt_has_an_id_of_its_own(transport: RabbitTransport):
    await transport.publish(BROKER.name, [event("same")])
    await transport.publish(BROKER.name, [event("same")])

    question = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
    found = [one["properties"] for one in await queue(transport, "POST", "/get", question)]

    assert [one["delivery_mode"] for one in found] == [2, 2]
    ids = {one["message_id"] for one in found}
    assert len(ids) == 2
    assert "same" not in ids


async def test_an_event_that_no_queue_takes_is_not_acknowledged(transport: RabbitTransport):
    await queue(transport, "DELETE")

    with pytest.raises(PublishError) as raised:
        await transport.publish(BROKER.name, [event("1"), event("2")])

    assert raised.value.failed == {0, 1}


async def test_while_the_server_is_blocked_publishing_fails_at_once_and_receiving_goes_on(
    transport: RabbitTransport,
):
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await transport.publish(BROKER.name, [event("before")])
    publishing = transport._publishing
    assert publishing is not None

    publishing.on_control(commands.Connection.Blocked("low on disk"))
    with pytest.raises(StoreFull, match="low on disk") as raised:
        await transport.publish(BROKER.name, [event("meanwhile")])
    [came] = await receive(subscription, 1)
    publishing.on_control(commands.Connection.Unblocked())
    await transport.publish(BROKER.name, [event("after")])

    assert raised.value.retry_after
    assert came.event.id == "before"
    assert [one.event.id for one in await receive(subscription, 1)] == ["after"]


# ── consuming ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prefix", ["", "cloudEvents:", "cloudEvents_", "ce-"])
async def test_events_of_others_are_read_whatever_they_put_before_their_headers(
    transport: RabbitTransport, prefix: str
):
    attributes = {"specversion": "1.0", "type": "t", "source": "/theirs", "id": "7", "tenant": "acme"}
    headers = {f"{prefix}{name}": text for name, text in attributes.items()}
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await sent_by_somebody_else(transport, {"headers": headers, "content_type": "text/plain"}, "hello")
    [found] = await receive(subscription, 1)

    assert found.event == Event.new(
        type="t", source="/theirs", id="7", tenant="acme", data=b"hello", datacontenttype="text/plain"
    )


async def test_what_is_no_event_waits_with_the_dead_letters_and_the_next_goes_on(transport: RabbitTransport):
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await sent_by_somebody_else(transport, {"headers": {"colour": "blue"}}, "no event")
    await transport.publish(BROKER.name, [event("next")])
    [found] = await receive(subscription, 1)
    await subscription.settle([found])

    async with asyncio.timeout(PATIENCE):
        while not (letters := await transport.browse(LETTERS.name, after=None, limit=10)):
            await asyncio.sleep(0.05)
    assert found.event.id == "next"
    assert letters[0].event.data == b"no event"
    assert letters[0].event.type == "dev.mesh-gateway.unreadable"


async def test_a_queue_that_is_deleted_under_its_reader_is_named(transport: RabbitTransport):
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)

    await queue(transport, "DELETE")

    with pytest.raises(ChannelGone, match="was deleted"):
        await receive(subscription, 1)


async def test_a_connection_that_the_server_ends_is_lost_and_what_was_unsettled_comes_again(
    transport: RabbitTransport,
):
    subscription = await transport.subscribe(BROKER.name, SHARED, EARLIEST)
    await transport.publish(BROKER.name, [event("unsettled")])
    await receive(subscription, 1)

    for one in await connections(transport, 2):
        await api("DELETE", f"connections/{quote(one['name'], safe='')}")
    with pytest.raises(ConnectionLost):
        await receive(subscription, 1)
    with pytest.raises(ConnectionLost):
        await transport.publish(BROKER.name, [event("lost")])
    await transport.close()
    await transport.open()
    [again] = await receive(await transport.subscribe(BROKER.name, SHARED, EARLIEST), 1)

    assert again.event.id == "unsettled"


async def test_removed_dead_letters_stay_removed_for_the_next_connection(
    make: Make, transport: RabbitTransport
):
    await transport.publish(LETTERS.name, [event("one"), event("two"), event("three")])
    found = await transport.browse(LETTERS.name, after=None, limit=10)
    assert await transport.remove(LETTERS.name, [found[1].position]) == 1
    await transport.close()

    other = make()
    await other.open()
    left = await other.browse(LETTERS.name, after=None, limit=10)

    assert [one.event.id for one in left] == ["one", "three"]
