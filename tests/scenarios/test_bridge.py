"""examples/04-bridge, end to end: in on RabbitMQ, over Kafka, out of two queues of SQS."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from pathlib import Path

import pytest

from tests.deploy.servers import required
from tests.harness import GatewayProcess, Producer, Subscriber, post, running

DOCUMENTS = (Path(__file__).parent.parent.parent / "examples/04-bridge/mesh.yaml").read_text()
SERVERS = {
    "BRIDGE_RABBITMQ": "MESH_TEST_RABBITMQ",
    "BRIDGE_KAFKA": "MESH_TEST_KAFKA",
    "BRIDGE_SQS": "MESH_TEST_SQS",
}

ENDS = ("/invoices", "/parcels")


@pytest.fixture(params=[pytest.param("real servers", marks=pytest.mark.servers), "embedded"])
def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> Bridge:
    """The example on the real brokers, and once more on three embedded stores, which need no server."""
    if request.param == "embedded":
        return Bridge(tmp_path, embedded=True)
    required(*SERVERS.values())
    return Bridge(tmp_path, embedded=False)


class Bridge:
    """The example's documents in a namespace of their own: every name on the servers holds it."""

    def __init__(self, folder: Path, *, embedded: bool) -> None:
        self.namespace = f"shop-{uuid.uuid4().hex[:8]}"
        text = re.sub(r"namespace: shop\b", f"namespace: {self.namespace}", DOCUMENTS)
        if embedded:
            text = re.sub(r"kind: (rabbitmq|kafka|sqs)\n.*options: .*", "kind: embedded", text)
        self._documents = text
        self._folder = folder

    def gateway(self, subscribers: str) -> GatewayProcess:
        servers = {ours: os.environ.get(theirs, "") for ours, theirs in SERVERS.items()}
        return GatewayProcess(self._documents, self._folder, {**servers, "BRIDGE_SUBSCRIBERS": subscribers})

    @property
    def path(self) -> str:
        return f"/{self.namespace}/intake"


ORDER = {
    "ce-specversion": "1.0",
    "ce-source": "/shop/web",
    "ce-weight": "12",
    "ce-customer": "J%C3%B6rg",
    "ce-partitionkey": "customer-7",
    "content-type": "application/json; charset=utf-8",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


async def order(gateway: GatewayProcess, bridge: Bridge, id: str, type: str, **more: str) -> int:
    headers = {**ORDER, "ce-id": id, "ce-type": type, **{f"ce-{name}": value for name, value in more.items()}}
    return await asyncio.to_thread(post, gateway.url + bridge.path, '{"city": "Köln"}'.encode(), headers)


async def test_an_order_crosses_three_brokers_and_reaches_those_who_want_it(bridge: Bridge):
    async with Subscriber() as s, running(bridge.gateway(s.url)) as gateway:
        assert await order(gateway, bridge, "created", "order.created") == 202
        assert await order(gateway, bridge, "paid", "order.paid") == 202
        assert await order(gateway, bridge, "voucher", "order.paid", weight="0") == 202
        assert await order(gateway, bridge, "cancelled", "order.cancelled") == 202
        assert await order(gateway, bridge, "viewed", "page.viewed") == 202
        await s.received(lambda requests: len(requests) >= 4)
        status = await gateway.settled()

    assert sorted(s.ids("/invoices")) == ["paid", "voucher"]
    assert sorted(s.ids("/parcels")) == ["cancelled", "paid"]
    accepted = {broker["name"].partition("/")[2]: broker["accepted"] for broker in status["brokers"]}
    assert accepted == {"intake": 5, "backbone": 4, "billing": 2, "shipping": 2}
    assert [broker["dead_letters"] or 0 for broker in status["brokers"]] == [0, 0, 0, 0]


async def test_an_order_is_the_same_when_it_has_crossed(bridge: Bridge):
    async with Subscriber() as s, running(bridge.gateway(s.url)) as gateway:
        assert await order(gateway, bridge, "1", "order.paid") == 202
        await s.received(lambda requests: len(requests) >= 2)

    for request in s.requests:
        sent = {**ORDER, "ce-id": "1", "ce-type": "order.paid"}
        assert {name: request.headers.get(name) for name in sent} == sent
        assert request.body == '{"city": "Köln"}'.encode()
        assert "ce-knativebrokerttl" not in request.headers


async def test_what_was_acknowledged_arrives_although_the_gateway_is_killed_on_the_way(bridge: Bridge):
    orders = [f"o{n}" for n in range(300)]
    async with Subscriber() as s:
        gateway = bridge.gateway(s.url)
        async with running(gateway):
            producer = Producer(gateway.ingress, bridge.path)
            sending = asyncio.create_task(producer.send(orders, type="order.paid", weight="1"))
            await s.received(lambda requests: len(requests) >= 20)
            await gateway.kill()
            await sending
        acknowledged = set(producer.acknowledged)
        assert 0 < len(acknowledged) < len(orders), "the kill came in the middle"
        async with running(gateway):
            await s.received(lambda _: all(acknowledged <= set(s.ids(path)) for path in ENDS))
            await gateway.settled()

    assert all(set(s.ids(path)) <= set(orders) for path in ENDS)
