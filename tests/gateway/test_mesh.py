"""What runs: it starts while its transport is down, comes up with it, and stops in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import ConnectionLost, MeshError, TopologyError, UnknownKind
from mesh_gateway.event import Event
from mesh_gateway.gateway import supervise
from mesh_gateway.gateway.assembly import assemble
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import Surroundings
from mesh_gateway.topology.spec import (
    BrokerSpec,
    GatewaySpec,
    HttpDestination,
    PluginDestination,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.plugins import Plugins, load_plugins
from tests.gateway.flaky import FlakyTransport
from tests.harness import PATIENCE

KIND = TransportKind(
    "flaky", "tests.gateway.flaky:FlakyTransport", "mesh_gateway.transport.embedded.options:EmbeddedOptions"
)


def spec(
    path: Path, destination: HttpDestination | PluginDestination = PluginDestination("display:")
) -> GatewaySpec:
    return GatewaySpec(
        state_directory=path,
        drain_timeout=2,
        transports={"t": TransportSpec("t", "flaky")},
        brokers={"ns/b": BrokerSpec("ns", "b", "t")},
        triggers={"ns/t": TriggerSpec("ns", "t", "ns/b", destination)},
    )


def surroundings(plugins: Plugins) -> Surroundings:
    return Surroundings(
        plugins=plugins,
        clock=asyncio.get_running_loop(),
        watches=Watches(),
        ingress_url=lambda key: f"http://gateway/{key}",
        on_unreadable=lambda channel, why: None,
        on_fatal=lambda why: None,
    )


def plugins() -> Plugins:
    found = load_plugins([])
    found.transports["flaky"] = KIND
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(supervise, "LONGEST_PAUSE", 0.002)
    FlakyTransport.made.clear()


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[Mesh, FlakyTransport]]:
    mesh = Mesh(assemble(spec(path), surroundings(plugins())), grace=2)
    task = asyncio.ensure_future(mesh.run())
    try:
        yield mesh, FlakyTransport.made[-1]
    finally:
        mesh.stop()
        async with asyncio.timeout(10):
            await task


async def accepted(mesh: Mesh) -> MeshError | None:
    ended: asyncio.Future[MeshError | None] = asyncio.get_running_loop().create_future()
    mesh.parts.brokers["ns/b"].broker.accept([Event.new(type="t", source="/s")], ended.set_result)
    async with asyncio.timeout(5):
        return await ended


async def test_while_the_transport_is_down_events_are_refused_at_once_and_taken_when_it_comes(
    tmp_path: Path, capsys
):
    async with running(tmp_path) as (mesh, transport):
        await asyncio.sleep(0)
        assert isinstance(await accepted(mesh), ConnectionLost)
        assert not mesh.ready
        transport.down = False
        async with asyncio.timeout(5):
            await mesh.up()
            assert await accepted(mesh) is None
            while mesh.parts.triggers["ns/t"].counters.delivered < 1:
                await asyncio.sleep(0)
        assert mesh.ready


async def test_a_connection_whose_loss_the_transport_tells_is_opened_again_before_anybody_meets_it(
    tmp_path: Path, capsys
):
    async with running(tmp_path) as (mesh, transport):
        transport.down = False
        async with asyncio.timeout(10):
            await mesh.up()
            transport.down = True
            transport.context.on_lost(ConnectionLost("gone"))
            while mesh.ready:
                await asyncio.sleep(0)
            transport.down = False
            while not mesh.ready:
                await asyncio.sleep(0.001)
        assert transport.opened == 2


async def test_a_connection_that_is_lost_is_opened_again_and_nothing_is_lost(tmp_path: Path, capsys):
    async with running(tmp_path) as (mesh, transport):
        transport.down = False
        async with asyncio.timeout(10):
            await mesh.up()
            assert await accepted(mesh) is None
            transport.down = True
            assert isinstance(await accepted(mesh), ConnectionLost)
            while mesh.ready:
                await asyncio.sleep(0)
            transport.down = False
            await mesh.up()
            assert await accepted(mesh) is None
            while mesh.parts.triggers["ns/t"].counters.delivered < 2:
                await asyncio.sleep(0)

        assert transport.opened == 2


async def test_every_part_is_supervised_by_name(tmp_path: Path):
    async with running(tmp_path) as (mesh, transport):
        transport.down = False
        await mesh.up()

        assert set(mesh.supervised) == {
            "transport t", "channel ns/b", "channel ns/b:dead-letters", "channel ns/b:parked:t", "trigger ns/t",
            "reader ns/b shared",
        }  # fmt: skip
    assert {part.state for part in mesh.supervised.values()} == {"stopped"}


async def test_a_kind_that_no_plugin_brings_is_named(tmp_path: Path):
    with pytest.raises(UnknownKind, match="flaky"):
        assemble(spec(tmp_path), surroundings(load_plugins([])))


async def test_a_scheme_that_no_plugin_serves_is_named(tmp_path: Path):
    with pytest.raises(UnknownKind, match="ftp"):
        assemble(spec(tmp_path, PluginDestination("ftp://x")), surroundings(plugins()))


async def test_an_authority_that_is_none_is_named(tmp_path: Path):
    with pytest.raises(TopologyError, match="ns/t"):
        assemble(
            spec(tmp_path, HttpDestination("https://x/", ca_certificates="nonsense")), surroundings(plugins())
        )


async def test_a_stop_ends_also_if_what_was_settled_cannot_be_written_any_more(tmp_path: Path, capsys):
    mesh = Mesh(assemble(spec(tmp_path), surroundings(plugins())), grace=2)
    stopping = asyncio.ensure_future(mesh.run())
    transport = FlakyTransport.made[-1]
    transport.down = False
    await mesh.up()
    assert await accepted(mesh) is None
    transport.full = True
    mesh.stop()
    await asyncio.wait([stopping], timeout=PATIENCE)

    assert stopping.done()
    assert {part.state for part in mesh.supervised.values()} == {"stopped"}
