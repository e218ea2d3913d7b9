"""One AMQP 0-9-1 connection and its channels: handshake, heartbeats, calls and their answers, content.

Own code, because it is the data path (see decision 0006): methods that come once are read and written by pamqp,
those that come with every event by `frames.py`. A connection never mends itself: when it is lost it says so, and is
opened anew by whoever owns it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

from pamqp import base, commands
from pamqp import exceptions as pamqp_errors
from pamqp import frame as pamqp_frame
from pamqp.header import ProtocolHeader

from mesh_gateway.errors import ConnectionLost, NotPermitted, StoreFull, TransportError
from mesh_gateway_rabbitmq import faults, frames

OPEN_SECONDS = 4.5
"""From connecting to an open connection; the contract gives `open` about five seconds."""

CALL_SECONDS = 15.0
"""For the answer to one call; declaring a quorum queue on a busy cluster takes seconds."""

CLOSE_SECONDS = 2.0
"""For the server to answer that we leave."""

ALARM_SECONDS = 1.0
"""After an alarm, for the confirms of what the server had read before: those are on their way. The rest lies unread
until the alarm is over."""

FRAME_MAX = 131_072
"""Bytes of a frame that we ask for: RabbitMQ's own default."""

LARGEST_NUMBER = 65_535
"""Of a channel, by the two bytes that a frame has for it."""

CAPABILITIES = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}

Reply = TypeVar("Reply", bound=base.Frame)


@dataclass(frozen=True)
class Address:
    """Where a server is and who we are there; shows no password."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    vhost: str
    context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address(url: str, username: str | None, password: str | None, context: ssl.SSLContext | None) -> Address:
    """The address that a URL names. Raises `ConnectionLost` with a sentence for one that names none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConnectionLost(f"the option url is no URL: {error}") from None
    if not parts.hostname:
        raise ConnectionLost("the option url names no host")
    secure = parts.scheme == "amqps"
    return Address(
        parts.hostname,
        port or (5671 if secure else 5672),
        username if username is not None else unquote(parts.username or "guest"),
        password if password is not None else unquote(parts.password or "guest"),
        unquote(parts.path[1:]) if len(parts.path) > 1 else "/",
        (context or ssl.create_default_context()) if secure else None,
    )


class Link(asyncio.Protocol):
    """A connection. For one event loop; its methods may be called from any task of it."""

    def __init__(self, where: Address, heartbeat: float) -> None:
        self._where = where
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._rest = bytearray()
        """The beginning of a frame whose end has not come."""
        self._wanted = 0
        """Bytes of it, as far as is known."""
        self._channels: dict[int, Channel] = {}
        self._control = Channel(self, 0)
        self._next = 1
        self._heard = self._sent = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.held_back = False
        self.frame_max = FRAME_MAX
        self.lost: TransportError | None = None
        self.on_lost: Callable[[TransportError], None] = lambda error: None
        self.blocked: str | None = None
        """Why the server takes no publishes at the moment (an alarm of memory or disk)."""

    @classmethod
    async def open(cls, where: Address, *, heartbeat: float, name: str) -> Link:
        """Connect. Raises `ConnectionLost` or `NotPermitted`, within `OPEN_SECONDS`."""
        link: Link | None = None
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                _, link = await asyncio.get_running_loop().create_connection(
                    lambda: cls(where, heartbeat), where.host, where.port, ssl=where.context
                )
                await link._shake_hands(name)
                return link
        except TimeoutError:
            raise ConnectionLost(f"RabbitMQ at {where} does not answer within {OPEN_SECONDS:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise NotPermitted(
                f"{where} showed a certificate that is not trusted: {error.verify_message}"
            ) from error
        except OSError as error:
            raise ConnectionLost(
                f"cannot connect to RabbitMQ at {where}: {error.strerror or error}"
            ) from error
        finally:
            if link is not None and link._timer is None:
                link.abort()

    async def _shake_hands(self, name: str) -> None:
        control = self._control
        self._write(ProtocolHeader(0, 9, 1).marshal())
        await control.answer(commands.Connection.Start, "greet the server")
        login = f"\0{self._where.username}\0{self._where.password}"
        properties: dict[str, Any] = {
            "product": "mesh-gateway",
            "connection_name": name,
            "capabilities": CAPABILITIES,
        }
        ok = commands.Connection.StartOk(properties, "PLAIN", login, "en_US")
        tune = await control.call(ok, commands.Connection.Tune, "log in")
        self.frame_max = min(FRAME_MAX, tune.frame_max or FRAME_MAX)
        beat = max(1, round(self._heartbeat))
        self.send(0, commands.Connection.TuneOk(tune.channel_max or 0, self.frame_max, beat))
        await control.call(
            commands.Connection.Open(self._where.vhost),
            commands.Connection.OpenOk,
            f"open the virtual host {self._where.vhost}",
        )
        self._beat()

    async def channel(self) -> Channel:
        """A new channel. Raises `TransportError`."""
        number = self._free_number()
        channel = self._channels[number] = Channel(self, number)
        try:
            await channel.call(commands.Channel.Open(), commands.Channel.OpenOk, "open a channel")
        except BaseException:
            # Nobody will close it, and a server that has opened it all the same counts it for as long as we are here.
            channel.discard(ConnectionLost("the channel was not waited for"))
            raise
        return channel

    def _free_number(self) -> int:
        """One that no channel has, and that none has had for as long as possible: each question takes one."""
        while self._next in self._channels:
            self._next = self._next % LARGEST_NUMBER + 1
        number, self._next = self._next, self._next % LARGEST_NUMBER + 1
        return number

    async def close(self) -> None:
        """Say goodbye and disconnect. Bounded; raises nothing."""
        self.on_lost = lambda error: None
        if self.lost is None:
            with contextlib.suppress(TransportError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._control.call(
                        commands.Connection.Close(200, "bye", 0, 0), commands.Connection.CloseOk, "close"
                    )
        self.abort()
        await asyncio.wait([self._gone])

    def abort(self) -> None:
        """Disconnect at once."""
        self._fail(ConnectionLost("the connection to RabbitMQ is closed", retry_after=1))
        self._transport.abort()

    def check(self) -> None:
        """Raises why the connection is lost, if it is."""
        if self.lost is not None:
            raise self.lost

    def check_writable(self) -> None:
        """Raises `StoreFull` while the server takes no publishes, and why the connection is lost, if it is."""
        self.check()
        if self.blocked is not None:
            raise self._full()

    def _full(self) -> StoreFull:
        return StoreFull(f"RabbitMQ takes no publishes at the moment: {self.blocked}", retry_after=5)

    def send(self, channel: int, method: base.Frame) -> None:
        """Write one method."""
        self._write(pamqp_frame.marshal(method, channel))

    def write(self, data: bytes) -> None:
        """Write frames that were made by `frames`. Raises `TransportError` when the connection is lost."""
        self.check()
        self._write(data)

    def _write(self, data: bytes) -> None:
        self._sent = self._loop.time()
        self._transport.write(data)

    def hold_back(self) -> None:
        """Read nothing for now: what was read is not taken as fast as it comes. Holds for all channels of this
        connection, and their calls get no answers.
        """
        if not self.held_back and self.lost is None:
            self.held_back = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Undo `hold_back`."""
        if self.held_back:
            self.held_back = False
            if self.lost is None:
                self._heard = self._loop.time()
                self._transport.resume_reading()

    def forget(self, channel: int) -> None:
        """The channel is closed on both sides."""
        self._channels.pop(channel, None)

    # ── the protocol's callbacks ─────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def connection_lost(self, error: Exception | None) -> None:
        why = f": {error}" if error else ""
        self._fail(
            ConnectionLost(f"the connection to RabbitMQ at {self._where} was lost{why}", retry_after=1)
        )
        if not self._gone.done():
            self._gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        try:
            at = self._read(data)
        except (ConnectionLost, pamqp_errors.PAMQPException, ValueError, IndexError, struct.error) as error:
            self._fail(ConnectionLost(f"RabbitMQ sent what cannot be read: {error}"))
            self._transport.abort()
            return
        self._rest += memoryview(data)[at:]

    def _read(self, data: bytes) -> int:
        """Hand out every frame that is here in full; where the first that is not begins."""
        at, end = 0, len(data)
        unpack, channels = frames.head.unpack_from, self._channels
        self._wanted = 8
        while end - at >= 8:
            kind, number, size = unpack(data, at)
            if kind == 65:  # "A": the server answers our header with its own, and closes
                raise ConnectionLost("the server does not speak AMQP 0-9-1")
            if end - at < size + 8:
                self._wanted = size + 8
                break
            channel = channels.get(number) if number else self._control
            if channel is None or kind == frames.HEARTBEAT:
                at += size + 8
            elif kind == frames.METHOD and (found := frames.delivery(data, at, number, size)) is not None:
                tag, again, properties, body, at = found
                channel.on_deliver(tag, again, properties, body)
            else:
                channel.received(kind, data[at + 7 : at + 7 + size])
                at += size + 8
        return at

    def _beat(self) -> None:
        """Every half interval: say something if we were silent, and give up a server that was."""
        now = self._loop.time()
        if now - self._heard > 2 * self._heartbeat and not self.held_back:
            self._fail(
                ConnectionLost(
                    f"RabbitMQ has said nothing for {2 * self._heartbeat:g} s (no heartbeat)", retry_after=1
                )
            )
            self._transport.abort()
            return
        if now - self._sent > self._heartbeat / 2 and self.lost is None:
            self._write(frames.BEAT)
        self._timer = self._loop.call_later(self._heartbeat / 2, self._beat)

    def _fail(self, error: TransportError) -> None:
        """The connection is over: everybody who waits learns why."""
        if self.lost is not None:
            return
        self.lost = error
        if self._timer is not None:
            self._timer.cancel()
        for channel in (self._control, *tuple(self._channels.values())):
            channel.fail(error)
        self.on_lost(error)

    def _ended(self, code: int, text: str) -> TransportError:
        """Why the server closes the connection: refused while it was opened, and lost, whatever the code, afterwards."""
        if self._timer is None:
            return faults.meant(code, text, self._control.doing or "stay connected")
        return ConnectionLost(f"RabbitMQ closed the connection: {code} {text}", retry_after=1)

    def _end_publishes(self) -> None:
        """Nobody waits for the end of an alarm."""
        if self.blocked is not None and self.lost is None:
            for channel in tuple(self._channels.values()):
                channel.on_blocked(self._full())

    def on_control(self, method: base.Frame) -> bool:
        """A method of channel 0 that nobody asked for."""
        if isinstance(method, commands.Connection.Blocked):
            self.blocked = method.reason or "an alarm"
            self._loop.call_later(ALARM_SECONDS, self._end_publishes)
        elif isinstance(method, commands.Connection.Unblocked):
            self.blocked = None
        elif isinstance(method, commands.Connection.Close):
            self.send(0, commands.Connection.CloseOk())
            self._fail(self._ended(method.reply_code or 0, method.reply_text or ""))
        else:
            return False
        return True


class Channel:
    """One channel: calls one at a time, and content for whoever set the callbacks."""

    def __init__(self, link: Link, number: int) -> None:
        self.link, self.number = link, number
        self.closed: TransportError | None = None
        self.doing = ""
        self.on_deliver: Callable[[int, bool, bytes, bytes], None] = lambda tag, again, properties, body: None
        self.on_return: Callable[[bytes, str], None] = lambda properties, why: None
        self.on_confirm: Callable[[int, bool, bool], None] = lambda tag, multiple, good: None
        self.on_cancel: Callable[[], None] = lambda: None
        self.on_blocked: Callable[[TransportError], None] = lambda error: None
        self.on_closed: Callable[[TransportError], None] = lambda error: None
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Future[base.Frame] | None = None
        self._opened_by: bytes = b""
        self._properties = b""
        self._missing = 0
        self._parts: list[bytes] = []

    async def call(self, method: base.Frame, reply: type[Reply], doing: str) -> Reply:
        """Send a method and wait for its answer. Raises `TransportError`, saying what we were doing."""
        async with self._turn:
            self.check()
            waiting = self._wait(doing)
            self.link.send(self.number, method)
            return await self._answered(waiting, reply)

    async def answer(self, reply: type[Reply], doing: str) -> Reply:
        """Wait for a method that comes by itself."""
        async with self._turn:
            return await self._answered(self._wait(doing), reply)

    def _wait(self, doing: str) -> asyncio.Future[base.Frame]:
        self.doing = doing
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    async def _answered(self, waiting: asyncio.Future[base.Frame], reply: type[Reply]) -> Reply:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                found = await waiting
        except TimeoutError:
            raise ConnectionLost(
                f"RabbitMQ did not answer within {CALL_SECONDS:g} s ({self.doing})"
            ) from None
        finally:
            self._waiting = None
        if not isinstance(found, reply):
            raise ConnectionLost(f"RabbitMQ answered {found.name} when asked to {self.doing}")
        return found

    async def close(self) -> None:
        """Close this channel only; what it holds unsettled goes back to its queue. Raises nothing."""
        if self.closed is None:
            with contextlib.suppress(TransportError):
                await self.call(
                    commands.Channel.Close(200, "bye", 0, 0), commands.Channel.CloseOk, "close a channel"
                )
            self.closed = ConnectionLost("the channel is closed")
        self.link.forget(self.number)

    def discard(self, error: TransportError) -> None:
        """Close this channel without waiting for the server, which may read nothing of ours for now."""
        self.fail(error)
        if self.link.lost is None:
            self.link.send(self.number, commands.Channel.Close(200, "discarded", 0, 0))

    def check(self) -> None:
        """Raises why this channel, or its connection, is over."""
        self.link.check()
        if self.closed is not None:
            raise self.closed

    def fail(self, error: TransportError) -> None:
        """The channel is over."""
        if self.closed is None:
            self.closed = error
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_exception(error)
                self._waiting.exception()  # whoever waited may be gone
            self.on_closed(error)

    def received(self, kind: int, payload: bytes) -> None:
        """One frame."""
        if kind == frames.BODY:
            self._parts.append(payload)
            self._missing -= len(payload)
            if self._missing <= 0:
                self._complete()
        elif kind == frames.HEADER:
            self._missing, self._properties = frames.content(payload)
            self._parts = []
            if not self._missing:
                self._complete()
        elif kind == frames.METHOD:
            which = frames.method.unpack_from(payload)
            if which in (frames.DELIVER, frames.RETURN):
                self._opened_by = payload
            elif which == frames.ACK:
                tag, bits = frames.tagged.unpack_from(payload, 4)
                self.on_confirm(tag, bool(bits & 1), True)  # noqa: FBT003  # good
            elif which == frames.NACK:
                tag, bits = frames.tagged.unpack_from(payload, 4)
                self.on_confirm(tag, bool(bits & 1), False)  # noqa: FBT003
            else:
                self._method(payload)

    def _complete(self) -> None:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        if frames.method.unpack_from(self._opened_by) == frames.DELIVER:
            tag, again = frames.delivered(self._opened_by)
            self.on_deliver(tag, again, self._properties, body)
        else:
            size = self._opened_by[6]
            self.on_return(self._properties, self._opened_by[7 : 7 + size].decode("utf-8", "replace"))

    def _method(self, payload: bytes) -> None:
        raw = frames.head.pack(frames.METHOD, self.number, len(payload)) + payload + bytes((frames.END,))
        method = pamqp_frame.unmarshal(raw)[2]
        if self.number == 0 and isinstance(method, base.Frame) and self.link.on_control(method):
            return
        if isinstance(method, commands.Channel.Close):
            self.link.send(self.number, commands.Channel.CloseOk())
            self.link.forget(self.number)
            self.fail(
                faults.meant(method.reply_code or 0, method.reply_text or "", self.doing or "use a channel")
            )
        elif isinstance(method, commands.Channel.CloseOk) and self._waiting is None:
            self.link.forget(self.number)  # of a channel that was discarded
        elif isinstance(method, commands.Basic.Cancel):
            self.on_cancel()
        elif self._waiting is not None and not self._waiting.done():
            assert isinstance(method, base.Frame)
            self._waiting.set_result(method)
