"""Relays between brokers of one gateway, on a transport that remembers and on one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.event import Event
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.topology.spec import (
    BrokerDestination,
    BrokerSpec,
    GatewaySpec,
    PluginDestination,
    RelaySpec,
    StartSpec,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.contract import EARLIEST
from tests.federation.relaying import running, until

pytestmark = pytest.mark.anyio

KINDS = pytest.mark.parametrize("kind", ["embedded", "Forgetful"])


def spec(kind: str, *links: tuple[str, str], state: Path | None = None) -> GatewaySpec:
    """A gateway with these brokers, each with a trigger for everything, and these relays."""
    brokers = sorted({name for link in links for name in link})
    relays = [
        RelaySpec(
            "shop",
            f"{start}-{to}",
            f"shop/{start}",
            BrokerDestination(f"shop/{to}"),
            start=StartSpec("earliest"),
        )
        for start, to in links
    ]
    return GatewaySpec(
        cluster="eu",
        state_directory=state,
        drain_timeout=2,
        transports={"t": TransportSpec("t", kind)},
        brokers={f"shop/{name}": BrokerSpec("shop", name, "t") for name in brokers},
        triggers={
            f"shop/{name}": TriggerSpec("shop", name, f"shop/{name}", PluginDestination("display:"))
            for name in brokers
        },
        relays={relay.key: relay for relay in relays},
    )


async def publish(mesh: Mesh, broker: str, *ids: str) -> None:
    events = [Event.new(type="t", source="/s", id=id, data=b"{}") for id in ids]
    await mesh.parts.brokers[f"shop/{broker}"].broker.channel.put(events)


def delivered(mesh: Mesh, broker: str) -> int:
    return mesh.parts.triggers[f"shop/{broker}"].counters.delivered


async def quiet(mesh: Mesh) -> None:
    """Once nothing is left to relay or to deliver."""
    parts = mesh.parts

    async def busy() -> bool:
        for home in parts.brokers.values():
            transport, channel = home.link.transport, home.broker.channel.name
            groups = [reader.group for reader in home.readers] + [
                one.group for one in home.relays if one.group
            ]
            for group in groups:
                if (await transport.backlog(channel, group)).events:  # type: ignore[attr-defined]
                    return True
        return False

    while await busy():
        pass


@KINDS
async def test_another_broker_of_the_same_gateway_gets_each_event_once_with_the_marks_of_its_way(kind: str):
    async with running(spec(kind, ("orders", "audit"))) as (mesh, _):
        await publish(mesh, "orders", *map(str, range(1_000)))
        await until(lambda: delivered(mesh, "audit") >= 1_000)
        await quiet(mesh)

        assert delivered(mesh, "audit") == delivered(mesh, "orders") == 1_000
        channel = mesh.parts.brokers["shop/audit"].broker.channel
        subscription = await channel.subscribe("looker", EARLIEST)
        [first] = await subscription.receive(1)
        await subscription.close()
        assert first.event.attributes["meshvia"] == "eu/shop/orders"
        assert first.event.attributes["meshhops"] == "1"


@KINDS
async def test_in_a_ring_both_ways_each_event_is_in_each_broker_once(kind: str):
    ring = ["a", "b", "c"]
    links = [(start, to) for start in ring for to in ring if start != to]
    async with running(spec(kind, *links)) as (mesh, _):
        for name in ring:
            await publish(mesh, name, *(f"{name}{n}" for n in range(100)))
        await until(lambda: all(delivered(mesh, name) >= 300 for name in ring))
        await quiet(mesh)

        assert {name: delivered(mesh, name) for name in ring} == dict.fromkeys(ring, 300)


async def test_a_second_copy_in_the_log_reaches_no_trigger_and_no_further_broker_not_even_after_a_restart(
    tmp_path: Path,
):
    made = spec("Forgetful", ("orders", "audit"), ("audit", "archive"), state=tmp_path)
    async with running(made) as (mesh, _):
        await publish(mesh, "orders", "1")
        await until(lambda: delivered(mesh, "archive") == 1)
        channel = mesh.parts.brokers["shop/audit"].broker.channel
        subscription = await channel.subscribe("looker", EARLIEST)
        [copy] = await subscription.receive(1)
        await subscription.close()
        await channel.put([copy.event])
        await quiet(mesh)
        assert (delivered(mesh, "audit"), delivered(mesh, "archive")) == (1, 1)

    async with running(made) as (mesh, _):
        channel = mesh.parts.brokers["shop/audit"].broker.channel
        await channel.put([copy.event])
        await quiet(mesh)
        sieve = mesh.parts.brokers["shop/audit"].sieve
        assert sieve is not None
        assert sieve.duplicates == 2
        assert (delivered(mesh, "audit"), delivered(mesh, "archive")) == (0, 0)
