"""What the kit needs to be told of a transport, and the small words its tests are written in."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel

from mesh_gateway.errors import ConnectionLost, NotPermitted, TransportError
from mesh_gateway.event import Event
from mesh_gateway.testing.proxy import Proxy
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    ChannelSpec,
    Delivery,
    Ensure,
    Purpose,
    Start,
    Subscription,
    Transport,
)

NAMESPACE = "kit"

DENIALS: Mapping[str, type[TransportError]] = {
    "wrong password": NotPermitted,
    "missing permission": NotPermitted,
    "unknown host": ConnectionLost,
}
"""In which ways a server may be out of reach, and the error that must say so."""

UNTRIED = "not tried: "
"""How the reason of a skip begins when the harness, not the transport, is what lacks something."""

TOGETHER = 10
"""Most events that `taken` holds unsettled: what SQS gives at a time, and below any prefetch."""

RETRY_SECONDS = 0.1
"""Between two tries to open or publish while a server is coming back: often enough for it not to count."""


async def real_time(seconds: float) -> None:
    """Let time pass by waiting for it."""
    await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Harness:
    """One way to run the kit: how to make the transport, and what can be done to its surroundings.

    Only `make` is needed. Everything else makes more of the kit run; what is left out is skipped as "not tried".
    """

    make: Callable[[], Transport]
    """A new transport object over the same stored state; not yet open."""
    restart: Callable[[], Awaitable[None]] | None = None
    """Restart the server behind it, keeping what is durable; returns when it serves. None = there is none."""
    advance: Callable[[float], Awaitable[None]] = real_time
    """Let this many seconds pass for delays and leases; with a manual clock at once."""
    patience: float = 10.0
    """Seconds after which an event that should arrive is called lost."""
    options: tuple[tuple[str, str], ...] = ()
    """`ChannelSpec.options` of every channel that the kit makes."""
    recovery: float = 60.0
    """Seconds after which a transport should serve again once the server, or the way to it, is back."""
    address: tuple[str, int] | None = None
    """Host and port of the server, in front of which the kit puts its proxy."""
    through: Callable[[Proxy], Transport] | None = None
    """As `make`, but connecting to `proxy.address`."""
    proxy_port: int = 0
    """Where the proxy listens; 0 = anywhere. For a server that tells its clients where to connect to."""
    stop_server: Callable[[], Awaitable[None]] | None = None
    start_server: Callable[[], Awaitable[None]] | None = None
    """Stop it, and start it again with what is durable. Both together do what `restart` does."""
    denied: Mapping[str, Callable[[], Transport]] = field(default_factory=dict)
    """A key of `DENIALS` -> a transport that is to be refused in that way."""
    drift: Callable[[ChannelSpec], Awaitable[None]] | None = None
    """Change a setting of this channel on the server, behind the transport's back."""
    secrets: tuple[str, ...] = ()
    """Passwords and keys in the options of `make` and `denied`; no message may hold one."""
    options_model: type[BaseModel] | None = None
    """The model of `Transport.spec.options`; every field needs a description."""

    def __post_init__(self) -> None:
        unknown = ", ".join(self.denied.keys() - DENIALS.keys())
        if unknown:
            raise ValueError(f"Harness.denied: {unknown} is none of {', '.join(DENIALS)}")


def untried(*fields: str) -> NoReturn:
    """Skip a test for which the harness does not name these."""
    pytest.skip(f"{UNTRIED}the harness names no {' and no '.join(fields)}")


@dataclass(slots=True)
class Kit:
    """A harness in use. Everything opened through it is closed at the end of the test."""

    harness: Harness
    notes: list[str] = field(default_factory=list)
    """What the report of the run should say without calling it a failure."""
    _open: list[Transport] = field(default_factory=list)
    _made: list[ChannelSpec] = field(default_factory=list)
    _proxies: AsyncExitStack = field(default_factory=AsyncExitStack)
    _markers: int = 0
    _expecting: bool = False
    _usual_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    async def transport(self, transport: Transport | None = None) -> Transport:
        """A new transport over the same state, open, as the gateway opens it: with this test's channels ensured."""
        transport = self.harness.make() if transport is None else transport
        self._open.append(transport)
        await self._serve(transport)
        return transport

    async def proxied(self) -> tuple[Proxy, Transport]:
        """A transport that is open through a proxy, and the proxy. Skips where the harness cannot make one."""
        proxy = await self.proxy()
        assert self.harness.through is not None
        return proxy, await self.transport(self.harness.through(proxy))

    async def proxy(self) -> Proxy:
        """A proxy in front of the server, until the end of the test. Skips where the harness names none."""
        harness = self.harness
        if harness.address is None or harness.through is None:
            untried("address", "through")
        self.expect_breakage()
        return await self._proxies.enter_async_context(Proxy(harness.address, harness.proxy_port))

    def restarting(self) -> Callable[[], Awaitable[None]]:
        """How to restart the server; skips the test when no way is named."""
        harness = self.harness
        stop, start = harness.stop_server, harness.start_server
        if harness.restart is None and (stop is None or start is None):
            untried("restart")
        self.expect_breakage()
        if harness.restart is not None:
            return harness.restart

        async def stop_and_start() -> None:
            assert stop is not None
            assert start is not None
            await stop()
            await start()

        return stop_and_start

    def expect_breakage(self) -> None:
        """From now to the end of the test, errors that nobody awaits are noted instead of failing the test.

        Client libraries leave futures and callbacks behind when a connection breaks. What counts is what the
        transport says and does.
        """
        loop = asyncio.get_running_loop()
        if not self._expecting:
            self._expecting, self._usual_handler = True, loop.get_exception_handler()
            loop.set_exception_handler(self._note_unhandled)

    def _note_unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.notes.append(f"nobody handled: {context['message']}" + (f": {error!r}" if error else ""))

    async def reopened(self, transport: Transport) -> None:
        """Close and open the transport until it serves, as the gateway does after `ConnectionLost`."""
        error: TransportError | None = None
        try:
            async with asyncio.timeout(self.harness.recovery):
                while True:
                    with suppress(TransportError):
                        await transport.close()
                    try:
                        await self._serve(transport)
                    except TransportError as failed:
                        error = failed
                        await asyncio.sleep(RETRY_SECONDS)
                    else:
                        return
        except TimeoutError:
            raise AssertionError(
                f"it did not serve again within {self.harness.recovery:g} s: {error!r}"
            ) from error

    async def _serve(self, transport: Transport) -> None:
        await transport.open()
        for spec in self._made:
            await transport.ensure(spec, Ensure.CREATE)

    def spec(self, *groups: str) -> ChannelSpec:
        """A channel of this test alone, read by these groups (none named = the shared one)."""
        name = f"b{uuid.uuid4().hex[:12]}"
        return ChannelSpec(NAMESPACE, name, groups=groups or (SHARED,), options=self.harness.options)

    async def channel(self, transport: Transport, *groups: str) -> str:
        """The name of a new channel, made."""
        return await self._make(transport, self.spec(*groups))

    async def dead_letters(self, transport: Transport) -> str:
        """The name of a new dead-letter channel, as a broker's are made."""
        spec = replace(self.spec(OPERATORS), purpose=Purpose.DEAD_LETTERS)
        return await self._make(transport, spec)

    async def _make(self, transport: Transport, spec: ChannelSpec) -> str:
        await transport.ensure(spec, Ensure.CREATE)
        self._made.append(spec)
        return spec.name

    async def receive(self, subscription: Subscription, count: int) -> list[Delivery]:
        """`count` events, however many receives it takes. Fails when they do not come."""
        found: list[Delivery] = []
        try:
            async with asyncio.timeout(self.harness.patience):
                while len(found) < count:
                    found += await subscription.receive(count - len(found))
        except TimeoutError:
            raise AssertionError(f"{len(found)} of {count} events arrived: {ids(found)}") from None
        if len(found) > count:
            raise AssertionError(f"more was received than asked for: {len(found)} instead of {count}")
        return found

    async def taken(self, subscription: Subscription, count: int) -> list[str]:
        """The ids of `count` events, each settled as it comes: brokers bound what may be held unsettled."""
        found: list[str] = []
        while len(found) < count:
            batch = await self.receive(subscription, min(TOGETHER, count - len(found)))
            await subscription.settle(batch)
            found += ids(batch)
        return found

    async def nothing_but(
        self, transport: Transport, channel: str, subscription: Subscription, key: str | None = None
    ) -> list[str]:
        """The ids of whatever arrives although nothing should. Settles it.

        A marker is published behind it (with this ordering key): where the whole channel keeps its order
        nothing can come after the marker, elsewhere an empty receive has to be waited for.
        """
        self._markers += 1
        marker = numbered(f"marker{self._markers}", key=key)
        await transport.publish(channel, [marker])
        found: list[Delivery] = []
        try:
            async with asyncio.timeout(self.harness.patience):
                while marker.id not in ids(found):
                    found += await subscription.receive(100)
                while transport.capabilities.ordering != "channel":
                    late = await subscription.receive(100)
                    if not late:
                        break
                    found += late
        except TimeoutError:
            raise AssertionError(
                f"the event behind it did not arrive, or it never ended: {ids(found)}"
            ) from None
        await subscription.settle(found)
        return [id for id in ids(found) if id != marker.id]

    async def eventually(self, fact: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it becomes true within the harness' patience: for counts that a server keeps loosely."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.harness.patience):
                while not await fact():  # noqa: ASYNC110  # the server tells nobody when its count has changed
                    await asyncio.sleep(RETRY_SECONDS)
                return True
        return False

    async def read_anew(self, channel: str, group: str = SHARED) -> tuple[Transport, Subscription]:
        """The same group's next reading, through a transport opened anew after all others were closed."""
        await self.close()
        transport = await self.transport()
        return transport, await transport.subscribe(channel, group, EARLIEST)

    async def close(self) -> None:
        """Close every transport that was opened."""
        transports, self._open = self._open, []
        for transport in transports:
            await transport.close()

    async def end(self) -> None:
        """Let go of everything: transports first, so that they can say goodbye through their proxies."""
        try:
            async with asyncio.timeout(self.harness.recovery):
                with suppress(TransportError):
                    await self.close()
        finally:
            await self._proxies.aclose()
            if self._expecting:
                gc.collect()  # a future tells of its error when it is collected
                asyncio.get_running_loop().set_exception_handler(self._usual_handler)


@asynccontextmanager
async def unpacked(harness: Harness) -> AsyncIterator[Kit]:
    """A kit over this harness."""
    kit = Kit(harness)
    try:
        yield kit
    finally:
        await kit.end()


def numbered(
    id: str,
    data: bytes | None = b"{}",
    specversion: str = "1.0",
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    **attributes: str | int | bool,
) -> Event:
    """An event with this id, this ordering key and these HTTP headers beside it."""
    if key is not None:
        attributes["partitionkey"] = key
    event = Event.new(
        type="kit.event", source="/kit", id=id, data=data, specversion=specversion, **attributes
    )
    return Event(event.attributes, event.data, event.kinds, headers)


def series(count: int, prefix: str = "e", key: str | None = None) -> list[Event]:
    """Events e0, e1, …"""
    return [numbered(f"{prefix}{n}", key=key) for n in range(count)]


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    """The ids of these events."""
    return [delivery.event.id for delivery in deliveries]


def positions_by_id(deliveries: Sequence[Delivery]) -> dict[str, str]:
    """Where each of these events lies."""
    return {delivery.event.id: delivery.position for delivery in deliveries}


def at_position(delivery: Delivery) -> Start:
    """Begin with this event."""
    return Start("position", position=delivery.position)
