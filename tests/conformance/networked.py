"""A small transport with a real server in between, so that the kit's own faults can be tested without a broker.

The server holds an embedded transport and answers requests over TCP: a length, then a pickled
`(method, arguments, named)`; back comes a length, then a pickled `(error, value)`. A connection with a subscription is that
subscription's; all others are for everything else.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mesh_gateway.errors import ConnectionLost, MeshError, NotPermitted, PublishError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.testing import Harness
from mesh_gateway.testing.proxy import Proxy
from mesh_gateway.transport.contract import (
    Backlog,
    ChannelSpec,
    Check,
    Delivery,
    Drift,
    Ensure,
    Level,
    Start,
    Stored,
    Subscription,
    TransportContext,
)
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import CAPABILITIES, EmbeddedTransport

PASSWORD = "open-sesame"
WRONG_PASSWORD = "open-barley"
READER = "reader"
WAIT_SECONDS = 0.1
"""How long a receive waits here for something to come."""


class NetworkedOptions(BaseModel):
    """What a document would say."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(description="HOST:PORT of the server.")
    password: SecretStr = Field(description="What the server wants to hear.")


class Server:
    """Serves one state folder; `start` and `stop` as often as you like."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.address = ("127.0.0.1", 0)
        self.settings: dict[str, dict[str, str]] = {}
        self._listener: asyncio.Server | None = None
        self._store: EmbeddedTransport
        self._connections: dict[asyncio.Task[Any], str] = {}

    async def start(self) -> None:
        self._store = EmbeddedTransport(EmbeddedOptions(), TransportContext("server", self.state))
        await self._store.open()
        self._listener = await asyncio.start_server(self._serve, *self.address)
        self.address = ("127.0.0.1", self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._listener is not None
        self._listener.close()
        await self._end(tuple(self._connections))
        await self._listener.wait_closed()
        await self._store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def _end(self, connections: Sequence[asyncio.Task[Any]]) -> None:
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = ""
        user, subscription = "", None
        value: Any
        try:
            while True:
                method, arguments, named = await receive(reader)
                try:
                    if method == "hello":
                        user = await self._hello(task, *arguments)
                        value = None
                    elif method == "subscribe":
                        subscription = await self._store.subscribe(*arguments)
                        value = None
                    elif method == "receive":
                        assert subscription is not None
                        value = await waiting_little(subscription, *arguments)
                    elif subscription is not None:
                        value = await getattr(subscription, method)(*arguments)
                    elif user == READER:
                        raise NotPermitted(f"{method}: the user {user} may only connect")
                    elif method == "ensure":
                        value = await self._ensure(*arguments)
                    else:
                        value = await getattr(self._store, method)(*arguments, **named)
                    send(writer, (None, value))
                except MeshError as error:
                    send(writer, (error, None))
                await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            del self._connections[task]
            writer.transport.abort()
            if subscription is not None:
                await subscription.close()

    async def _hello(self, task: asyncio.Task[Any], client: str, password: str, first: bool) -> str:
        if password not in (PASSWORD, READER):
            raise NotPermitted("log in: the password is wrong")
        if first:  # it has lost its old connections, even if we have not noticed
            await self._end([one for one, whose in self._connections.items() if whose == client])
        self._connections[task] = client
        return READER if password == READER else "owner"

    async def _ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        drifts = await self._store.ensure(channel, mode)
        if mode is Ensure.OFF:
            return drifts
        found = self.settings.setdefault(channel.name, {"size": "1"})
        if found["size"] != "1":
            drifts.append(Drift(channel.name, "size", "1", found["size"]))
        return drifts


async def waiting_little(subscription: Subscription, limit: int) -> Sequence[Delivery]:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await subscription.receive(limit)
    except TimeoutError:
        return ()


class Connection:
    """One request after another. Raises `ConnectionLost` when nothing was sent, `Unanswered` when it was."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._turn = asyncio.Lock()
        self.lost = False

    async def ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        async with self._turn:
            if self.lost or self._reader.at_eof() or self._writer.transport.is_closing():
                raise ConnectionLost("the connection is gone")
            try:
                async with asyncio.timeout(self._patience):
                    send(self._writer, (method, arguments, named))
                    error, value = await receive(self._reader)
            except (OSError, EOFError, TimeoutError) as error:
                self.lost = True
                raise Unanswered(f"{method}: {error!r}") from error
            except asyncio.CancelledError:
                self.lost = True  # the answer would be taken for the next one's
                raise
        if error is not None:
            raise error
        return value

    async def close(self) -> None:
        self.lost = True
        self._writer.transport.abort()


class Unanswered(ConnectionLost):
    """It was asked, and nobody knows what became of it."""


class NetworkedTransport:
    """The embedded transport, far away. The points to lie at are its methods."""

    capabilities = CAPABILITIES
    patience = 2.0
    """Seconds to wait for an answer; a busy machine may take one for it."""

    def __init__(self, address: tuple[str, int], password: str = PASSWORD) -> None:
        self._address = address
        self._password = password
        self._client = uuid.uuid4().hex
        self._main: Connection | None = None
        self._subscriptions: list[NetworkedSubscription] = []

    def __repr__(self) -> str:
        return f"<NetworkedTransport {self._address}>"

    async def open(self) -> None:
        self._main = await self._connect(first=True)

    async def check(self) -> list[Check]:
        try:
            await (await self._connect(first=False)).close()
        except NotPermitted as error:
            return [Check("log in", Level.AUTH, ok=False, detail=str(error))]
        except TransportError as error:
            return [Check("connect", Level.CONNECT, ok=False, detail=str(error))]
        return [Check("connect", Level.CONNECT, ok=True, detail="")]

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        return await self._ask("ensure", channel, mode)  # type: ignore[no-any-return]

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        try:
            await self._ask("publish", channel, events)
        except Unanswered as error:
            raise PublishError(str(error), unknown=range(len(events))) from error

    async def subscribe(self, channel: str, group: str, start: Start) -> NetworkedSubscription:
        connection = await self._connect(first=False)
        try:
            await connection.ask("subscribe", channel, group, start)
        except TransportError:
            await connection.close()
            raise
        subscription = NetworkedSubscription(connection)
        self._subscriptions.append(subscription)
        return subscription

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        return await self._ask("browse", channel, after=after, limit=limit)  # type: ignore[no-any-return]

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        return await self._ask("remove", channel, positions)  # type: ignore[no-any-return]

    async def backlog(self, channel: str, group: str) -> Backlog:
        return await self._ask("backlog", channel, group)  # type: ignore[no-any-return]

    async def close(self) -> None:
        main, self._main = self._main, None
        if main is None:
            return
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            with suppress(TransportError):
                await subscription.close()
        await main.close()

    async def _ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        if self._main is None:
            raise ConnectionLost("the transport is closed")
        return await self._main.ask(method, *arguments, **named)

    async def _connect(self, *, first: bool) -> Connection:
        try:
            async with asyncio.timeout(self.patience):
                connection = Connection(*await asyncio.open_connection(*self._address), self.patience)
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(f"{self._address} cannot be reached: {error!r}") from error
        try:
            await connection.ask("hello", self._client, self._password, first)
        except (TransportError, asyncio.CancelledError):
            await connection.close()
            raise
        return connection


class NetworkedSubscription:
    """A subscription with a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: asyncio.Task[Any] | None = None

    async def receive(self, limit: int) -> Sequence[Delivery]:
        if self._asked is None:  # else the last one was cancelled, and its answer is still to come
            self._asked = asyncio.create_task(self._connection.ask("receive", limit))
        asked = self._asked
        await asyncio.wait([asked])
        self._asked = None
        return asked.result()  # type: ignore[no-any-return]

    async def settle(self, done: Sequence[Delivery]) -> None:
        await self._connection.ask("settle", done)

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        await self._connection.ask("release", back, delay)

    async def close(self) -> None:
        try:
            if not self._connection.lost:
                await self._connection.ask("close")
        finally:
            await self._connection.close()
            if self._asked is not None:
                await asyncio.wait([self._asked])


def send(writer: asyncio.StreamWriter, message: object) -> None:
    data = pickle.dumps(message)
    writer.write(struct.pack(">I", len(data)) + data)


async def receive(reader: asyncio.StreamReader) -> Any:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return pickle.loads(await reader.readexactly(length))


def harness(
    server: Server,
    transport: type[NetworkedTransport] = NetworkedTransport,
    *,
    patience: float = 3.0,
    recovery: float = 10.0,
) -> Harness:
    """Everything that the kit can be told."""

    def through(proxy: Proxy) -> NetworkedTransport:
        return transport(proxy.address)

    async def drift(channel: ChannelSpec) -> None:
        server.settings[channel.name]["size"] = "2"

    return Harness(
        make=lambda: transport(server.address),
        patience=patience,
        recovery=recovery,
        address=server.address,
        through=through,
        stop_server=server.stop,
        start_server=server.start,
        denied={
            "wrong password": lambda: transport(server.address, WRONG_PASSWORD),
            "missing permission": lambda: transport(server.address, READER),
            "unknown host": lambda: transport(("nowhere.invalid", 1)),
        },
        drift=drift,
        secrets=(PASSWORD, WRONG_PASSWORD),
        options_model=NetworkedOptions,
    )
