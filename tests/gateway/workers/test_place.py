"""A process on a shared port: from when on clients may connect to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_gateway.gateway import process, supervise
from mesh_gateway.gateway.documents import Documents, nothing_to_read
from mesh_gateway.gateway.listeners import Place
from mesh_gateway.gateway.process import GatewayProcess
from mesh_gateway.testing.ports import free_port
from mesh_gateway.topology.spec import AdminSpec, IngressSpec
from tests.gateway.flaky import FlakyTransport
from tests.gateway.test_mesh import plugins, spec
from tests.harness import PATIENCE


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "CONNECT_PATIENCE", 0.01)
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(supervise, "LONGEST_PAUSE", 0.002)
    FlakyTransport.made.clear()


@asynccontextmanager
async def beside_others(directory: Path, patience: float) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A process whose transport is down: its port, and what says that it serves."""
    ready = asyncio.Event()
    port = free_port()
    served = replace(
        spec(directory), ingress=IngressSpec(host="127.0.0.1", port=port), admin=AdminSpec(port=0)
    )
    one = GatewayProcess(
        Documents(served, nothing_to_read), plugins(), lambda facts: ready.set(), Place("shared", patience)
    )
    running = asyncio.create_task(one.run())
    try:
        yield port, ready
    finally:
        one._told_to_stop()
        async with asyncio.timeout(PATIENCE):
            await running


async def refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.transport.abort()
    return False


async def test_a_process_that_others_stand_in_for_takes_connections_when_it_can_store_events(tmp_path: Path):
    async with beside_others(tmp_path, patience=PATIENCE) as (port, ready):
        await asyncio.sleep(20 * process.CONNECT_PATIENCE)
        too_early = not await refuses(port)
        FlakyTransport.made[-1].down = False
        async with asyncio.timeout(PATIENCE):
            await ready.wait()

        assert not too_early
        assert not await refuses(port)


async def test_it_takes_them_at_last_also_without_its_transports(tmp_path: Path):
    async with beside_others(tmp_path, patience=0.05) as (port, ready), asyncio.timeout(PATIENCE):
        await ready.wait()

        assert not await refuses(port)
