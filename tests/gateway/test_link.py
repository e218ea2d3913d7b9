"""One transport, kept open: what differs is told, and one that hangs hinders nobody for ever."""

from __future__ import annotations

import asyncio

import pytest

from mesh_gateway.errors import ConnectionLost, NotPermitted
from mesh_gateway.event import Event
from mesh_gateway.gateway import link as module
from mesh_gateway.gateway import status
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.supervise import Part, supervise
from mesh_gateway.transport.contract import ChannelSpec, Drift, Ensure, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from tests.harness import PATIENCE

DRIFT = Drift("n/b", "partitions", "10", "3", "add partitions")


class Odd(EmbeddedTransport):
    """Says that its channels differ, when it `may`, and never ends closing."""

    def __init__(self) -> None:
        super().__init__(EmbeddedOptions(), TransportContext("odd", None))
        self.closing = 0
        self.forbidden: set[str] = set()
        self.made = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        if channel.name in self.forbidden:
            raise NotPermitted(f"may not make {channel.name}")
        drifts = await super().ensure(channel, mode)
        self.made.set()
        await self.may.wait()
        return [*drifts, DRIFT]

    async def close(self) -> None:
        self.closing += 1
        await super().close()
        await asyncio.Event().wait()


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Link:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.01)
    link = Link("odd", "odd", Odd(), Ensure.CREATE)
    link.add(link.channel(ChannelSpec("n", "b")))
    return link


async def test_a_transport_whose_close_hangs_can_be_opened_anew(link: Link):
    for number in (1, 2):
        running = asyncio.create_task(link.run())
        await link.up.wait()
        link.report(ConnectionLost("gone"))

        with pytest.raises(ConnectionLost, match="gone"):
            await running
        assert isinstance(link.transport, Odd)
        assert link.transport.closing == number


async def test_status_tells_how_channels_differ(link: Link):
    running = asyncio.create_task(link.run())
    await link.up.wait()

    assert status.transport(link)["drift"] == [
        {"channel": "n/b", "what": "partitions", "wanted": "10", "found": "3", "hint": "add partitions"}
    ]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_channel_that_joined_in_vain_keeps_no_other_from_serving_after_a_reconnect(link: Link):
    assert isinstance(link.transport, Odd)
    link.transport.forbidden.add("n/new")
    new = link.channel(ChannelSpec("n", "new"))
    running = asyncio.create_task(link.run())
    await link.up.wait()
    with pytest.raises(NotPermitted):
        await link.join(new)
    link.report(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        await running

    running = asyncio.create_task(link.run())
    async with asyncio.timeout(PATIENCE):
        await link.up.wait()

    assert [channel.up for channel in [*link.channels, new]] == [True, False]
    link.transport.forbidden.clear()
    await link.join(new)
    assert new.up
    assert new in link.channels
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_cancellation_that_nobody_asked_for_does_not_end_what_runs_while_the_transport_is_up(
    link: Link,
):
    part, runs = Part("p"), 0
    again = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError  # as some client libraries do that cancel a task and await it
        again.set()
        await asyncio.Event().wait()

    async def at_once(seconds: float) -> None: ...

    connected = asyncio.create_task(link.run())
    working = asyncio.create_task(supervise(part, link.while_up(work), sleep=at_once))
    began = asyncio.create_task(again.wait())
    await asyncio.wait([began, working], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)

    assert (part.state, runs) == ("running", 2)
    for task in (working, connected):
        task.cancel()
    await asyncio.gather(working, connected, return_exceptions=True)


async def test_a_channel_that_joins_while_the_transport_is_replaced_publishes_to_the_new_one(link: Link):
    old, new = link.transport, Odd()
    assert isinstance(old, Odd)
    running = asyncio.create_task(link.run())
    await link.up.wait()
    old.made.clear()
    old.may.clear()
    channel = link.channel(ChannelSpec("n", "new"))
    joining = asyncio.create_task(link.join(channel))
    await old.made.wait()
    link.replace(new)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    running = asyncio.create_task(link.run())
    await link.up.wait()
    old.may.set()
    await joining

    await channel.transport.publish(channel.name, [Event.new(type="t", source="/s")])
    assert channel.transport is new
    assert channel.up
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
