"""Requests to one broker over a connection that aiokafka has made: each written in one piece, its answer given as it came.

aiokafka connects, greets and proves who we are; then the connection is ours. A request and an answer of 50 kB cost 42 µs here and 85
there, where both walk through a schema, a stream and a timer of their own; a publish over Kafka makes two of them. The range of
versions in pyproject is narrow for the sake of the private names here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from struct import Struct
from typing import Any

from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason

_LENGTH = Struct(">i")
_HEAD = Struct(">ihhih")
"""Bytes that follow, what is asked, in which version, the request's number, bytes of the client's name."""
_ANSWERED = Struct(">ii")
"""Bytes that follow, the request's number."""

LARGEST = 2**30
"""Bytes of an answer. One that says more is none: what we ask for is bounded far below."""

GROUP = "mesh-gateway"
"""The client's name for our connections, beside its own to the same brokers: nothing of its waits behind our fetches."""


class NotAsked(errors.KafkaConnectionError):  # type: ignore[misc]  # aiokafka has no types
    """The connection was gone before anything of a request went out."""


class Link(asyncio.Protocol):
    """One connection to one broker. `ask` may be called while others wait; answers come in the order of the requests."""

    def __init__(self, connection: AIOKafkaConnection, seconds: float) -> None:
        self.versions: dict[int, tuple[int, int]] = connection._versions
        """The least and the greatest that the broker knows, by what is asked."""
        self._connection, self._seconds = connection, seconds
        self._client = (connection._client_id or "").encode()
        self._asked: deque[tuple[int, float, asyncio.Future[bytes]]] = deque()
        self._number = 0
        self._chunks: list[bytes] = []
        self._held, self._wanted = 0, _ANSWERED.size
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._lost = False
        self._take_over()

    def _take_over(self) -> None:
        connection = self._connection
        connection._read_task.cancel()
        if connection._idle_handle is not None:
            connection._idle_handle.cancel()  # it knows nothing of our requests, and would take the connection for idle
        self._before: asyncio.BaseProtocol = connection._protocol
        self._transport: Any = connection._writer.transport
        self._transport.set_protocol(self)

    def ask(self, what: int, version: int, body: bytes | bytearray) -> asyncio.Future[bytes]:
        """The answer to come, without its number. Ends with `KafkaConnectionError` when the connection is lost, and with
        `RequestTimedOutError` when there is none in time. Raises `NotAsked` when it is lost already.
        """
        if not self.usable:
            gone = NotAsked(f"the connection to {self._place} is gone")
            self.lose(gone)
            raise gone
        self._number = number = (self._number + 1) & 0x7FFFFFFF
        size = _HEAD.size - _LENGTH.size + len(self._client) + len(body)
        head = _HEAD.pack(size, what, version, number, len(self._client))
        answer: asyncio.Future[bytes] = self._loop.create_future()
        due = self._loop.time() + self._seconds
        self._asked.append((number, due, answer))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look_at_the_oldest)
        self._transport.write(b"".join((head, self._client, body)))
        return answer

    @property
    def usable(self) -> bool:
        """Whether it can be asked, as far as we know."""
        return not self._lost and not self._transport.is_closing()

    def close(self) -> None:
        """End the connection; what waits ends with `KafkaConnectionError`."""
        closed = errors.KafkaConnectionError(f"the connection to {self._place} was closed")
        self.lose(closed, reason=CloseReason.SHUTDOWN)

    def lose(self, why: errors.KafkaError, *, reason: CloseReason = CloseReason.CONNECTION_BROKEN) -> None:
        """End a connection that is of no use any more; what waits ends with this error. What is not sent yet never is."""
        if self._lost:
            return
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close(reason=reason)  # when broken, the client asks for the cluster's state anew
        self._transport.abort()
        asked, self._asked = self._asked, deque()
        for _, _, answer in asked:
            if not answer.done():
                answer.set_exception(why)
                answer.exception()  # noted: nobody may wait for it any more

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._chunks.append(data)
        self._held += len(data)
        if self._held >= self._wanted:
            raw = data if len(self._chunks) == 1 else b"".join(self._chunks)
            rest = raw[self._take_answers(raw) :]
            self._chunks, self._held = ([rest] if rest else []), len(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.lose(errors.KafkaConnectionError(f"the connection to {self._place} is lost: {exc or 'its end'}"))
        self._before.connection_lost(exc)  # whoever closes the client waits for this

    def _take_answers(self, raw: bytes) -> int:
        """Give every whole answer to whoever waits for it; where the next one begins."""
        at = 0
        while len(raw) - at >= _ANSWERED.size:
            size, number = _ANSWERED.unpack_from(raw, at)
            if not (_LENGTH.size <= size <= LARGEST and self._asked and self._asked[0][0] == number):
                self.lose(
                    errors.CorrelationIdError(f"what {self._place} sent is no answer to what was asked")
                )
                return len(raw)
            end = at + _LENGTH.size + size
            if end > len(raw):
                self._wanted = end - at
                return at
            _, _, answer = self._asked.popleft()
            if not answer.done():
                answer.set_result(raw[at + _ANSWERED.size : end])
            at = end
        self._wanted = _ANSWERED.size
        return at

    def _look_at_the_oldest(self) -> None:
        """Lose a connection whose oldest request has had no answer in time; all requests have the same."""
        self._timer = None
        if not self._asked:
            return
        due = self._asked[0][1]
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look_at_the_oldest)
        else:
            self.lose(
                errors.RequestTimedOutError(f"{self._place} has not answered within {self._seconds:g} s")
            )

    @property
    def _place(self) -> str:
        return f"{self._connection.host}:{self._connection.port}"


class Links:
    """Our connections to the brokers that a client knows. `to` may be called concurrently; `close` has one owner."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._seconds: float = client._request_timeout_ms / 1000
        self._links: dict[int, Link] = {}
        self._making: dict[int, asyncio.Task[Link]] = {}
        self._closed = False

    async def to(self, node: int) -> Link:
        """The connection to this broker. Raises `KafkaError` when it cannot be reached: all that wait for it learn that at once."""
        if self._closed:
            raise errors.KafkaConnectionError("the client is closed")
        link = self._links.get(node)
        if link is not None and link.usable:
            return link
        making = self._making.get(node)
        if making is None:
            making = self._making[node] = asyncio.create_task(self._made(node), name=f"kafka link to {node}")
            making.add_done_callback(partial(self._done, node))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            us = asyncio.current_task()
            if making.cancelled() and not (us and us.cancelling()):  # by `close`
                raise errors.KafkaConnectionError("the client is closed") from None
            raise

    async def close(self) -> None:
        """End them all, also those that are being made, and make no more."""
        self._closed = True
        making = list(self._making.values())
        for task in making:
            task.cancel()
        if making:
            await asyncio.wait(making)
        for link in self._links.values():
            link.close()

    async def _made(self, node: int) -> Link:
        try:
            connection = await self._client._get_conn(node, group=GROUP)
        except RuntimeError as error:  # uvloop's word for a connection that ends while it is greeted
            raise errors.KafkaConnectionError(f"broker {node} cannot be reached: {error}") from error
        if connection is None:
            raise errors.NodeNotReadyError(f"broker {node} cannot be reached")
        if not connection.connected() or connection._writer.transport.is_closing():
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise errors.NodeNotReadyError(f"the connection to broker {node} ended at once")
        return Link(connection, self._seconds)

    def _done(self, node: int, making: asyncio.Task[Link]) -> None:
        del self._making[node]
        if not making.cancelled() and making.exception() is None:
            self._links[node] = making.result()
