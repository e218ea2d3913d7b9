"""The whole transport: a stream for each channel, a consumer group for each group.

Durable means: the server runs with `appendonly yes` and `appendfsync always`, and then answers XADD after the fsync.
What a reader holds is in its pending list; when it closes, the list is handed to a consumer called `waiting`, from which
the next reader takes it. What a reader that died held is taken over after LEASE seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Sequence

from redis import asyncio as redis
from redis import exceptions as errors

from mesh_gateway.errors import (
    ChannelGone,
    ConnectionLost,
    InvalidEvent,
    NotPermitted,
    PublishError,
    TransportError,
    Unsupported,
)  # fmt: skip
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    Backlog,
    Capabilities,
    ChannelSpec,
    Check,
    Delivery,
    Drift,
    Ensure,
    Level,
    Start,
    Stored,
    TransportContext,
    dead_letters_of,
)  # fmt: skip
from mesh_gateway.wire.stored import decode, encode
from mesh_gateway.wire.unreadable import wrapped
from mesh_redis.options import RedisOptions

WAITING = "waiting"
LEASE = 15.0
LARGEST = 2**64 - 1


@contextlib.contextmanager
def meaning(doing: str):
    """The gateway's errors for those of the client library."""
    try:
        yield
    except (errors.AuthenticationError, errors.NoPermissionError) as error:
        raise NotPermitted(f"Redis does not allow us to {doing}: {error}") from error
    # RuntimeError: what uvloop says when redis-py writes to a connection that was cut a moment ago.
    except (errors.ConnectionError, errors.TimeoutError, OSError, RuntimeError) as error:
        raise ConnectionLost(f"cannot {doing}: {error}", retry_after=1) from error
    except errors.ResponseError as error:
        if (
            "NOGROUP" in str(error)
            or "no such key" in str(error)
            or "requires the key to exist" in str(error)
        ):
            raise ChannelGone(f"cannot {doing}: {error}") from error
        raise TransportError(f"cannot {doing}: {error}") from error


class RedisTransport:
    capabilities = Capabilities(
        ordering="channel", settle="individual", groups=True, seek=frozenset({"position", "timestamp"}),
        browse=True, measure=True, max_batch=1_000,
    )  # fmt: skip

    def __init__(self, options: RedisOptions, context: TransportContext) -> None:
        self._options, self._context = options, context
        self._client: redis.Redis | None = None
        self.subscriptions: set[RedisSubscription] = set()

    def _new_client(self) -> redis.Redis:
        url = self._options.url.get_secret_value()
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=50, timeout=10, socket_connect_timeout=4
        )
        return redis.Redis.from_pool(pool)

    @property
    def client(self) -> redis.Redis:
        if self._client is None:
            raise ConnectionLost("Redis is not connected", retry_after=1)
        return self._client

    def key(self, channel: str) -> str:
        return f"{self._options.prefix}:{channel}"

    async def open(self) -> None:
        if self._client is None:
            client = self._new_client()
            try:
                with meaning("connect"):
                    await client.ping()
            except TransportError:
                await client.aclose()
                raise
            self._client = client

    async def close(self) -> None:
        for subscription in list(self.subscriptions):
            await subscription.close()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def check(self) -> list[Check]:
        client = self._new_client()
        try:
            with meaning("connect"):
                await client.ping()
                config = await client.config_get("append*")
        except TransportError as error:
            return [Check("redis", Level.CONNECT, ok=False, detail=str(error), hint="look at the option url")]
        finally:
            await client.aclose()
        words = {str(name): str(value) for name, value in config.items()}
        safe = words.get("appendonly") == "yes" and words.get("appendfsync") == "always"
        hint = (
            ""
            if safe
            else "set appendonly yes and appendfsync always: else a crash of the server loses events"
        )
        return [Check("redis", Level.TOPOLOGY, ok=safe, detail="answers", hint=hint)]

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        if mode is Ensure.VERIFY:
            with meaning("look at a stream"):
                if not await self.client.exists(self.key(channel.name)):
                    raise ChannelGone(f"stream {self.key(channel.name)} does not exist")
        elif mode is Ensure.CREATE:
            for group in channel.groups or (OPERATORS,):
                await self._begin(channel.name, group, EARLIEST, make=True)
        return []

    async def _begin(self, channel: str, group: str, start: Start, *, make: bool) -> None:
        with meaning(f"make group {group}"):
            try:
                await self.client.xgroup_create(self.key(channel), group, before(start), mkstream=make)
            except errors.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        if not events:
            return
        lines = self.client.pipeline(transaction=False)
        for event in events:
            lines.xadd(self.key(channel), {b"e": encode(event)}, nomkstream=True)
        try:
            with meaning(f"publish to {channel}"):
                stored = await lines.execute(raise_on_error=True)
        except ConnectionLost as error:
            raise PublishError(str(error), unknown=range(len(events)), retry_after=1) from error
        if None in stored:
            raise ChannelGone(f"stream {self.key(channel)} does not exist")

    async def subscribe(self, channel: str, group: str, start: Start) -> RedisSubscription:
        await self._begin(channel, group, start, make=False)
        subscription = RedisSubscription(self, channel, group)
        self.subscriptions.add(subscription)
        return subscription

    async def bury(self, channel: str, id: str, raw: bytes, why: str) -> None:
        """An entry that is no event waits with the dead letters, bytes and all."""
        await self.publish(
            dead_letters_of(channel), [wrapped(raw, channel=channel, position=id, why=why, headers={})]
        )
        self._context.on_unreadable(channel, why)

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        low = "-" if after is None else f"({after}"
        with meaning(f"browse {channel}"):
            found = await self.client.xrange(self.key(channel), low, "+", count=limit)
        return [Stored(id.decode(), decode(fields[b"e"]), moment(id)) for id, fields in found]

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        with meaning(f"remove from {channel}"):
            return int(await self.client.xdel(self.key(channel), *positions)) if positions else 0

    async def backlog(self, channel: str, group: str) -> Backlog:
        key = self.key(channel)
        with meaning(f"look at {channel}"):
            if group == OPERATORS:
                count, oldest = await self.client.xlen(key), await self.client.xrange(key, count=1)
                return Backlog(count, time.time() - moment(oldest[0][0]) if oldest else None)
            [found] = [one for one in await self.client.xinfo_groups(key) if one["name"] == group.encode()]
            pending = await self.client.xpending(key, group)
            fresh = await self.client.xrange(key, f"({found['last-delivered-id'].decode()}", "+", count=1)
        first = pending["min"] or (fresh[0][0] if fresh else None)
        return Backlog(found["pending"] + (found["lag"] or 0), time.time() - moment(first) if first else None)


class RedisSubscription:
    """A reader. `_held` are the entries it has handed out; what it gives back comes from `_returned`."""

    def __init__(self, transport: RedisTransport, channel: str, group: str) -> None:
        self._transport, self._channel, self._group = transport, channel, group
        self._key, self._me = transport.key(channel), uuid.uuid4().hex
        self._held: set[str] = set()
        self._returned: deque[Delivery] = deque()
        self._interrupted = self._closed = False
        self._touched = time.monotonic()

    async def receive(self, limit: int) -> Sequence[Delivery]:
        self._check()
        back: list[Delivery] = []
        while self._returned and len(back) < limit:
            back.append(self._returned.popleft())
        if back:
            return back
        client = self._transport.client
        try:
            with meaning(f"read {self._channel}"):
                found = await self._left_behind(client, limit)
                if not found:
                    read = await client.xreadgroup(self._group, self._me, {self._key: ">"}, limit, block=1000)
                    found = read[0][1] if read else []
        except asyncio.CancelledError:
            self._interrupted = True  # what was on its way to us is in our pending list now
            raise
        except ConnectionLost:
            if self._closed:
                return ()
            raise
        return await self._deliveries(found)

    async def _left_behind(self, client: redis.Redis, limit: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        if self._interrupted:
            self._interrupted = False
            [[_, mine]] = await client.xreadgroup(self._group, self._me, {self._key: "0"}, 10_000)
            lost = [(id, fields) for id, fields in mine if id.decode() not in self._held]
            if lost:
                return lost[:limit]
        if time.monotonic() - self._touched > LEASE / 3:
            self._touched = time.monotonic()
            if self._held:
                await client.xclaim(self._key, self._group, self._me, 0, list(self._held), justid=True)
            _, dead, *_ = await client.xautoclaim(
                self._key, self._group, self._me, int(LEASE * 1000), count=limit
            )
            if dead:
                return list(dead)
        waiting = await client.xpending_range(self._key, self._group, "-", "+", limit, WAITING)
        if not waiting:
            return []
        return list(
            await client.xclaim(self._key, self._group, self._me, 0, [one["message_id"] for one in waiting])
        )

    async def _deliveries(self, found: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[Delivery]:
        made = []
        for raw_id, fields in found:
            id = raw_id.decode()
            self._held.add(id)
            try:
                event = decode(fields.get(b"e", b""))
            except InvalidEvent as error:
                await self._transport.bury(self._channel, id, fields.get(b"e", b""), str(error))
                await self._acknowledge([id])
                continue
            made.append(Delivery(event, id, id, event.attributes.get("partitionkey"), None, moment(raw_id)))
        return made

    async def settle(self, done: Sequence[Delivery]) -> None:
        self._check()
        await self._acknowledge([delivery.token for delivery in done if delivery.token in self._held])

    async def _acknowledge(self, ids: Sequence[str]) -> None:
        if ids:
            with meaning(f"settle in {self._channel}"):
                await self._transport.client.xack(self._key, self._group, *ids)
            self._held.difference_update(ids)

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        self._check()
        if delay:
            raise Unsupported("Redis streams cannot hold an entry back; release it without a delay")
        ids = {delivery.token for delivery in self._returned}
        mine = [delivery for delivery in back if delivery.token in self._held and delivery.token not in ids]
        self._returned.extend(
            Delivery(d.event, d.token, d.position, d.key, None, d.enqueued_at) for d in mine
        )

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._transport.subscriptions.discard(self)
            with contextlib.suppress(TransportError), meaning("leave a group"):
                client = self._transport.client
                pending = await client.xpending_range(self._key, self._group, "-", "+", 100_000, self._me)
                if pending:
                    ids = [one["message_id"] for one in pending]
                    await client.xclaim(self._key, self._group, WAITING, 0, ids, justid=True)

    def _check(self) -> None:
        if self._closed:
            raise ConnectionLost("the subscription is closed")


def moment(id: bytes | str) -> float:
    """When an entry was added, in seconds: its id begins with the milliseconds."""
    return int((id.decode() if isinstance(id, bytes) else id).partition("-")[0]) / 1000


def before(start: Start) -> str:
    """The id behind which a new group begins."""
    if start.at in ("earliest", "latest"):
        return "0" if start.at == "earliest" else "$"
    text = start.position if start.at == "position" else f"{int((start.timestamp or 0) * 1000)}-0"
    ms, _, number = (text or "").partition("-")
    if not (ms.isdecimal() and number.isdecimal()):
        raise Unsupported(f"{text!r} is no position of a stream; positions are ids, such as 1700000000000-0")
    if int(number):
        return f"{ms}-{int(number) - 1}"
    return f"{int(ms) - 1}-{LARGEST}" if int(ms) else "0"
