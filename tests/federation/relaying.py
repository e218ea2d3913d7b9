"""One gateway with one relay, running over the embedded store; its target and its clock are in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import TransportError
from mesh_gateway.event import Event
from mesh_gateway.federation.relay import Relay
from mesh_gateway.federation.target import Manner, NotTaken, Unreached
from mesh_gateway.federation.transfer import ACCEPTED, Transfer, Verdict
from mesh_gateway.gateway import backlog, deadletters, status
from mesh_gateway.gateway.assembly import assemble
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import BrokerParts, Surroundings
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.topology.spec import (
    BrokerSpec,
    GatewaySpec,
    HttpDestination,
    PluginDestination,
    RelaySpec,
    StartSpec,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.plugins import Plugins, load_plugins

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; none needs more than a fraction of one."""

BACKOFF = 0.05
"""The shortest that a document may ask for."""

LEASE = 100.0

RELAY = RelaySpec(
    "shop", "to-us", "shop/orders", HttpDestination("http://us.test/shop/orders"), start=StartSpec("earliest")
)
RELAY = replace(RELAY, delivery=replace(RELAY.delivery, backoff_delay=BACKOFF, backoff_max=BACKOFF))

Said = Sequence[Verdict | None] | Unreached | NotTaken
Answer = Callable[[Transfer], Said]


class WithoutGroups(EmbeddedTransport):
    """As a queue: there is one reader."""

    capabilities = replace(EmbeddedTransport.capabilities, groups=False)


class Leasing(EmbeddedTransport):
    """What is held longer than `LEASE` would be handed out again."""

    capabilities = replace(EmbeddedTransport.capabilities, lease=LEASE)


@dataclass(slots=True)
class Asked:
    """A transfer that waits for the test to answer it."""

    transfer: Transfer
    said: asyncio.Future[Said]

    @property
    def ids(self) -> list[str]:
        return ids(self.transfer)

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.transfer.events]

    def answer(self, said: Said | None = None) -> None:
        """All are accepted, or what else is said."""
        self.said.set_result([ACCEPTED] * len(self.transfer.events) if said is None else said)


class ScriptedTarget:
    """Greets as `manner` or is `away`; answers as `answer` says, or when the test does."""

    def __init__(self) -> None:
        self.address = "http://us.test/shop/orders"
        self.manner = Manner("batches", "us/shop/orders")
        self.away: Unreached | None = None
        self.answer: Answer | None = None
        self.greetings = 0
        self.sent: list[Transfer] = []
        self.closed = False
        self._asked: asyncio.Queue[Asked] = asyncio.Queue()

    async def meet(self) -> Manner:
        self.greetings += 1
        if self.away is not None:
            raise self.away
        return self.manner

    async def send(self, transfer: Transfer) -> Sequence[Verdict | None]:
        self.sent.append(transfer)
        if self.answer is not None:
            said = self.answer(transfer)
        else:
            asked = Asked(transfer, asyncio.get_running_loop().create_future())
            self._asked.put_nowait(asked)
            said = await asked.said
        if isinstance(said, Unreached | NotTaken):
            raise said
        return said

    async def close(self) -> None:
        self.closed = True

    async def asked(self) -> Asked:
        """The next transfer that is sent."""
        async with asyncio.timeout(PATIENCE):
            return await self._asked.get()

    @property
    def sent_ids(self) -> list[str]:
        return [id for transfer in self.sent for id in ids(transfer)]


def ids(transfer: Transfer) -> list[str]:
    return [event.id for _, event in transfer.events]


def accept(transfer: Transfer) -> Said:
    """As `ScriptedTarget.answer`: take everything."""
    return [ACCEPTED] * len(transfer.events)


async def until(true: Callable[[], object]) -> None:
    """Returns once it is true."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0)


class Rig:
    """What a test holds."""

    def __init__(self, mesh: Mesh, spec: GatewaySpec, target: ScriptedTarget, clock: ManualClock) -> None:
        self.mesh, self.spec, self.target, self.clock = mesh, spec, target, clock
        self.home: BrokerParts = mesh.parts.brokers["shop/orders"]
        self.relay: Relay = mesh.parts.relays["shop/to-us"].relay

    async def publish(self, *ids: str, **attributes: Any) -> None:
        """Into the source broker, as it is."""
        await self.home.broker.channel.put(
            [Event.new(type="order.created", source="/s", id=id, data=b"{}", **attributes) for id in ids]
        )

    async def publish_at_last(self, *ids: str) -> None:
        """As `publish`, again and again until they are stored."""
        while True:
            await self.home.link.up.wait()
            try:
                await self.publish(*ids)
            except TransportError:
                continue
            return

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and the relay see that it has."""
        self.clock.advance(seconds)
        self.relay._sender.wake.set()

    async def let_pass_until(self, true: Callable[[], object]) -> None:
        """Let as much time pass as it takes."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self.let_pass(BACKOFF)
                await asyncio.sleep(0)

    async def unsettled(self) -> int:
        """Events that the source would give again."""
        left = await backlog.unsent(self.relay, self.home)
        assert left is not None
        return left.events

    async def _settled(self, left: int) -> bool:
        found = await backlog.unsent(self.relay, self.home)
        return found is not None and found.events <= left

    async def all_settled(self, left: int = 0, *, passing: bool = False) -> None:
        """Once the source would give so many again, and nothing is on its way to an end; time may be `passing`."""
        async with asyncio.timeout(PATIENCE):
            while self.relay.held > left or not await self._settled(left):
                if passing:
                    self.let_pass(BACKOFF)
                await asyncio.sleep(0)

    async def letters(self) -> list[dict[str, Any]]:
        """The dead letters, as `dlq list` shows them."""
        found = await deadletters.page(self.home, after=None, limit=1_000)
        return [deadletters.row("shop/orders", letter) for letter in found]

    async def redrive(self) -> int:
        done = await deadletters.redrive(self.home, self.mesh.parts, trigger=None, limit=None, dry_run=False)
        return done.redriven

    def status(self) -> dict[str, Any]:
        return status.relay(self.mesh.parts.relays["shop/to-us"], self.mesh, None)

    @property
    def condition(self) -> tuple[str, str]:
        [condition] = self.status()["conditions"]
        return condition["status"], condition["reason"]


class Forgetful(EmbeddedTransport):
    """It cannot remember what it stores."""

    publish_chosen = None  # type: ignore[assignment]  # as if it were not there


def plugins() -> Plugins:
    found = load_plugins([])
    for kind in (WithoutGroups, Leasing, Forgetful):
        name = kind.__name__
        found.transports[name] = TransportKind(
            name,
            f"{kind.__module__}:{name}",
            "mesh_gateway.transport.embedded.options:EmbeddedOptions",
        )
    return found


@asynccontextmanager
async def relaying(
    relay: RelaySpec = RELAY,
    *,
    kind: str = "embedded",
    state: Path | None = None,
    target: ScriptedTarget | None = None,
    trigger: bool = False,
) -> AsyncIterator[Rig]:
    """A running gateway with the broker shop/orders and this relay."""
    spec = GatewaySpec(
        cluster="eu",
        state_directory=state,
        drain_timeout=2,
        transports={"t": TransportSpec("t", kind)},
        brokers={"shop/orders": BrokerSpec("shop", "orders", "t")},
        triggers={"shop/all": TriggerSpec("shop", "all", "shop/orders", PluginDestination("display:"))}
        if trigger
        else {},
        relays={relay.key: relay},
    )
    target = target or ScriptedTarget()
    async with running(spec, target) as (mesh, clock):
        yield Rig(mesh, spec, target, clock)


@asynccontextmanager
async def running(
    spec: GatewaySpec, target: ScriptedTarget | None = None
) -> AsyncIterator[tuple[Mesh, ManualClock]]:
    """A gateway of these documents, up; its one relay to somewhere else sends to `target`."""
    clock = ManualClock()
    around = Surroundings(
        plugins=plugins(),
        clock=clock,
        watches=Watches(),
        ingress_url=lambda key: f"http://eu.test/{key}",
        on_unreadable=lambda channel, why: None,
        on_fatal=lambda why: None,
        chance=lambda: 0.5,
    )
    mesh = Mesh(assemble(spec, around), grace=2)
    if target is not None:
        mesh.parts.relays["shop/to-us"].relay._sender.target = target
    task = asyncio.ensure_future(mesh.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await mesh.up()
        yield mesh, clock
    finally:
        mesh.stop()
        async with asyncio.timeout(PATIENCE):
            await task
