"""The listeners of a process while its documents change: what fails at a listener ends no process."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mesh_gateway.gateway.addresses import CannotListen
from mesh_gateway.gateway.admin.listener import Admin
from mesh_gateway.gateway.ingress import Ingress
from mesh_gateway.gateway.listeners import Listeners
from mesh_gateway.gateway.parts import Parts
from mesh_gateway.ingress.limits import IngressCounters
from mesh_gateway.topology.spec import AdminSpec, GatewaySpec, IngressSpec
from tests.harness import PATIENCE


def parts(host: str = "127.0.0.1") -> Parts:
    return Parts(GatewaySpec(ingress=IngressSpec(host=host, port=0), admin=AdminSpec(port=0)))


class Serving:
    """A gateway, as far as listeners ask for it."""

    ready = True


@pytest.fixture
async def listeners(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listeners]:
    async def until_stopped(self: Admin) -> None:
        await stopped.wait()

    def stop(self: Admin) -> None:
        self.close()
        stopped.set()

    stopped = asyncio.Event()
    monkeypatch.setattr(Admin, "run", until_stopped)  # nobody asks it anything here
    monkeypatch.setattr(Admin, "stop", stop)
    gateway: Any = Serving()
    found = Listeners(gateway, IngressCounters())
    await found.open(parts())
    running = asyncio.ensure_future(found.run())
    try:
        yield found
    finally:
        await found.close()
        found.stop()
        async with asyncio.timeout(PATIENCE):
            await running


async def test_too_few_open_files_for_another_listener_are_a_refusal(
    listeners: Listeners, monkeypatch: pytest.MonkeyPatch
):
    def no_more(descriptor: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Ingress, "can_serve", lambda *_: False)  # as with another certificate
    monkeypatch.setattr(os, "dup", no_more)

    with pytest.raises(CannotListen, match="Too many open files"):
        await listeners.opened_for(parts())


async def test_a_replaced_listener_that_cannot_drain_is_closed_and_ends_nothing_else(
    listeners: Listeners, monkeypatch: pytest.MonkeyPatch
):
    closed = asyncio.Event()
    drain, close = Ingress.drain, Ingress.close
    faults = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]

    async def drained(self: Ingress, *, handed_over: bool = False) -> None:
        if faults:
            raise faults.pop()
        await drain(self, handed_over=handed_over)

    async def close_and_tell(self: Ingress) -> None:
        await close(self)
        closed.set()

    monkeypatch.setattr(Ingress, "drain", drained)
    monkeypatch.setattr(Ingress, "close", close_and_tell)
    before = listeners.urls

    elsewhere = parts("localhost")
    listeners.change(elsewhere, await listeners.opened_for(elsewhere))
    async with asyncio.timeout(PATIENCE):
        await closed.wait()
    assert listeners.urls["ingress"] != before["ingress"]
    assert listeners.urls["admin"] == before["admin"]
