"""A mesh whose documents change while it runs: real parts on the embedded transport, and a subscriber that records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.gateway.assembly import assemble, reassemble
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import Surroundings
from mesh_gateway.topology.spec import (
    BrokerSpec,
    DeliverySpec,
    GatewaySpec,
    HttpDestination,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.contract import Start
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.plugins import Plugins, load_plugins
from tests.harness import PATIENCE

NO_JITTER = DeliverySpec(retry=3, backoff_delay=0.05, jitter=False, timeout=20)


class WatchedTransport(EmbeddedTransport):
    """The embedded transport; notes who subscribes, and how often it was opened and closed."""

    subscribed: list[tuple[str, str]] = []  # noqa: RUF012  # over all that were made
    opened: list[WatchedTransport] = []  # noqa: RUF012
    closed: list[WatchedTransport] = []  # noqa: RUF012

    async def open(self) -> None:
        await super().open()
        WatchedTransport.opened.append(self)

    async def subscribe(self, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        subscription = await super().subscribe(channel, group, start)
        WatchedTransport.subscribed.append((channel, group))
        return subscription

    async def close(self) -> None:
        await super().close()
        WatchedTransport.closed.append(self)

    @classmethod
    def forget(cls) -> None:
        cls.subscribed.clear()
        cls.opened.clear()
        cls.closed.clear()


class ForgetfulTransport(WatchedTransport):
    """The same, which cannot remember what came by relays."""

    publish_chosen = None  # type: ignore[assignment]  # so that it is no `Remembering`


KINDS = [
    TransportKind(
        kind, f"tests.gateway.reloading:{name}", "mesh_gateway.transport.embedded.options:EmbeddedOptions"
    )
    for kind, name in (("watched", "WatchedTransport"), ("forgetful", "ForgetfulTransport"))
]


def gateway(path: Path, *triggers: TriggerSpec, brokers: tuple[str, ...] = ("b",)) -> GatewaySpec:
    """Brokers `ns/…` on one transport, and these triggers."""
    return GatewaySpec(
        state_directory=path,
        drain_timeout=5,
        transports={"t": TransportSpec("t", "watched")},
        brokers={f"ns/{name}": BrokerSpec("ns", name, "t") for name in brokers},
        triggers={trigger.key: trigger for trigger in triggers},
    )


def trigger(name: str, url: str, **settings: Any) -> TriggerSpec:
    """A trigger of `ns/b` that delivers to a URL."""
    given = {"delivery": NO_JITTER, "replies": False, **settings}
    return TriggerSpec("ns", name, given.pop("broker", "ns/b"), HttpDestination(url), **given)


class Rig:
    """A running mesh."""

    def __init__(self, spec: GatewaySpec, plugins: Plugins | None = None) -> None:
        plugins = plugins or load_plugins([])
        plugins.transports.update({kind.name: kind for kind in KINDS})
        self.around = Surroundings(
            plugins=plugins,
            clock=asyncio.get_running_loop(),
            watches=Watches(),
            ingress_url=lambda key: f"http://gateway/{key}",
            on_unreadable=lambda channel, why: None,
            on_fatal=lambda why: None,
        )
        self.mesh = Mesh(assemble(spec, self.around), grace=spec.drain_timeout)

    @property
    def spec(self) -> GatewaySpec:
        return self.mesh.parts.spec

    async def change(self, spec: GatewaySpec) -> None:
        """Reload these, and wait until they run."""
        made = reassemble(spec, self.mesh.parts, self.around)
        assert await self.mesh.begin(made, PATIENCE)
        self.mesh.change(made)
        async with asyncio.timeout(PATIENCE):
            await self.mesh.up()

    async def retrigger(self, name: str, **settings: Any) -> None:
        """The same documents, but for one trigger."""
        key = f"ns/{name}"
        triggers = {**self.spec.triggers, key: replace(self.spec.triggers[key], **settings)}
        await self.change(replace(self.spec, triggers=triggers))

    async def without(self, *names: str) -> None:
        """The same documents without these triggers."""
        kept = {key: spec for key, spec in self.spec.triggers.items() if key.removeprefix("ns/") not in names}
        await self.change(replace(self.spec, triggers=kept))

    async def send(self, *ids: str, broker: str = "ns/b", type: str = "t", **attributes: str) -> None:
        """Store these events durably."""
        for id in ids:
            ended: asyncio.Future[MeshError | None] = asyncio.get_running_loop().create_future()
            event = Event.new(type=type, source="/s", id=id).with_attributes(attributes)
            self.mesh.parts.brokers[broker].broker.accept([event], ended.set_result)
            async with asyncio.timeout(PATIENCE):
                assert await ended is None

    async def until(self, true: Callable[[], object]) -> None:
        """Returns once this is true."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                await asyncio.sleep(0.002)

    async def gone(self) -> None:
        """Returns once nothing is leaving any more."""
        await self.until(lambda: not any("leaving" in name for name in self.mesh.supervised))

    async def removed(self) -> dict[str, int | None]:
        """What was removed and has left something: how much."""
        return {f"{one['kind']} {one['name']}": one["backlog"] for one in await self.mesh.removed.backlogs()}


@asynccontextmanager
async def running(spec: GatewaySpec, plugins: Plugins | None = None) -> AsyncIterator[Rig]:
    """A mesh that is up, and stops in order at the end."""
    WatchedTransport.forget()
    rig = Rig(spec, plugins)
    task = asyncio.ensure_future(rig.mesh.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await rig.mesh.up()
        yield rig
    finally:
        rig.mesh.stop()
        async with asyncio.timeout(PATIENCE):
            await task


class Slow:
    """A subscriber that answers when it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.ids: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.ids += [line[7:] for line in head.split("\r\n") if line.startswith("ce-id: ")]
        await self.release.wait()
        writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
