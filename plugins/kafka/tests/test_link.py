"""A link gives each answer to whoever asked for it, and tells all that wait when there will be none."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.conn import CloseReason
from aiokafka.protocol.fetch import FetchRequest_v11
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_kafka.link import GROUP, Link, Links


class Wire:
    """The transport of a connection: keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.protocol: Any = None
        self.closing = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = self.aborted = True


class Cancelled:
    """A task or a timer that is to be cancelled."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Greeted:
    """A connection as aiokafka hands it over."""

    host, port = "broker", 9092

    def __init__(self) -> None:
        self._versions = {1: (4, 11)}
        self._client_id = "mesh"
        self._read_task, self._idle_handle = Cancelled(), Cancelled()
        self.wire = Wire()
        self._writer = SimpleNamespace(transport=self.wire)
        self.lost: list[Any] = []
        self._protocol = SimpleNamespace(connection_lost=self.lost.append)
        self.closed: Any = None
        self.alive = True

    def connected(self) -> bool:
        return self.alive

    def close(self, reason: Any = None) -> None:
        self.closed = reason


def link(seconds: float = 10) -> tuple[Link, Greeted]:
    connection: Any = Greeted()
    return Link(connection, seconds), connection


def answer(number: int, body: bytes) -> bytes:
    return struct.pack(">ii", 4 + len(body), number) + body


async def test_it_takes_the_connection_over_from_aiokafkas_reader_and_its_look_for_idle_ones():
    made, connection = link()

    assert connection.wire.protocol is made
    assert connection._read_task.cancelled
    assert connection._idle_handle.cancelled


async def test_a_request_is_written_as_aiokafka_writes_it():
    made, connection = link()
    asked = FetchRequest_v11(-1, 500, 1, 1, 1, 0, -1, [], [], "")

    made.ask(asked.API_KEY, asked.API_VERSION, asked.encode())

    header = asked.build_request_header(correlation_id=1, client_id="mesh")
    whole = header.encode() + asked.encode()
    assert connection.wire.written == struct.pack(">i", len(whole)) + whole


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=5), st.data())
def test_each_answer_goes_to_whoever_asked_in_whatever_pieces_they_come(bodies, data):
    async def run() -> None:
        made, _ = link()
        asked = [made.ask(1, 11, b"") for _ in bodies]
        raw = b"".join(answer(number, body) for number, body in enumerate(bodies, 1))
        cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)))))
        for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
            made.data_received(raw[begin:end])
        assert [one.result() for one in asked] == bodies
        assert made.usable

    asyncio.run(run())


async def test_the_answer_to_whoever_does_not_wait_any_more_goes_to_nobody():
    made, _ = link()
    first, second = made.ask(1, 11, b""), made.ask(1, 11, b"")
    first.cancel()

    made.data_received(answer(1, b"one") + answer(2, b"two"))

    assert second.result() == b"two"


@pytest.mark.parametrize(
    "raw", [answer(2, b""), struct.pack(">ii", 3, 1), struct.pack(">ii", 2**31 - 1, 1)], ids=repr
)
async def test_what_is_no_answer_to_what_was_asked_loses_the_connection(raw):
    made, connection = link()
    asked = made.ask(1, 11, b"")

    made.data_received(raw)

    assert isinstance(asked.exception(), errors.CorrelationIdError)
    assert connection.closed is CloseReason.CONNECTION_BROKEN
    assert connection.wire.aborted, "what is not sent yet never is"
    with pytest.raises(errors.KafkaConnectionError):
        made.ask(1, 11, b"")


async def test_an_answer_that_nobody_asked_for_loses_the_connection():
    made, connection = link()

    made.data_received(answer(1, b""))

    assert not made.usable
    assert connection.closed is CloseReason.CONNECTION_BROKEN


async def test_all_that_wait_learn_that_the_connection_is_lost_and_so_does_aiokafka():
    made, connection = link()
    asked = [made.ask(1, 11, b"") for _ in range(3)]
    asked[0].cancel()
    reason = OSError("cable cut")

    made.connection_lost(reason)

    for one in asked[1:]:
        assert isinstance(one.exception(), errors.KafkaConnectionError)
        assert "broker:9092" in str(one.exception())
    assert connection.lost == [reason]
    assert connection.closed is CloseReason.CONNECTION_BROKEN


async def test_a_request_without_an_answer_in_time_ends_and_loses_the_connection():
    made, connection = link(seconds=0)
    asked = made.ask(1, 11, b"")

    with pytest.raises(errors.RequestTimedOutError):
        await asked

    assert connection.closed is CloseReason.CONNECTION_BROKEN


async def test_an_answer_in_time_leaves_the_next_request_its_own_time():
    made, _ = link(seconds=3600)
    made.ask(1, 11, b"")
    made.data_received(answer(1, b""))
    assert made._timer is not None
    made._timer.cancel()
    later = made.ask(1, 11, b"")

    made._look_at_the_oldest()  # as the timer of the first would

    assert not later.done()
    assert made._timer is not None
    made.close()
    assert made._timer.cancelled()


async def test_a_link_that_is_closed_is_not_said_to_be_broken():
    made, connection = link()
    asked = made.ask(1, 11, b"")

    made.close()

    assert isinstance(asked.exception(), errors.KafkaConnectionError)
    assert connection.closed is CloseReason.SHUTDOWN


async def test_nothing_is_asked_over_a_connection_that_somebody_is_closing():
    made, connection = link()
    connection.wire.closing = True

    with pytest.raises(errors.KafkaConnectionError):
        made.ask(1, 11, b"")

    assert connection.closed is CloseReason.CONNECTION_BROKEN, "and the next one is made"


class Client:
    """Connects as often as it is told to."""

    _request_timeout_ms = 1000

    def __init__(self, *connections: Greeted | Exception | None) -> None:
        self.connections = list(connections)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def _get_conn(self, node: int, *, group: Any) -> Greeted | None:
        assert group == GROUP
        self.asked += 1
        await self.gate.wait()
        found = self.connections.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


async def test_there_is_one_link_to_a_broker_until_it_is_lost():
    client: Any = Client(Greeted(), Greeted())
    links = Links(client)

    first, same = await asyncio.gather(links.to(1), links.to(1))
    assert first is same is await links.to(1)
    first.close()

    assert await links.to(1) is not first
    assert client.asked == 2


async def test_a_link_whose_transport_is_ending_is_not_used_again():
    first = Greeted()
    client: Any = Client(first, Greeted())
    links = Links(client)
    link = await links.to(1)
    first.wire.closing = True

    assert await links.to(1) is not link


async def test_all_that_wait_for_a_broker_that_cannot_be_reached_learn_it_at_once():
    client: Any = Client(None, Greeted())
    links = Links(client)

    found = await asyncio.gather(links.to(1), links.to(1), return_exceptions=True)

    assert [type(one) for one in found] == [errors.NodeNotReadyError] * 2
    assert client.asked == 1
    assert (await links.to(1)).usable


async def test_whoever_waits_is_cancelled_and_the_others_get_the_link():
    client: Any = Client(Greeted())
    client.gate.clear()
    links = Links(client)
    first, second = (asyncio.ensure_future(links.to(1)) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    client.gate.set()

    assert (await second).usable


@pytest.mark.parametrize("how", ["read to its end", "ending", "handler is closed"])
async def test_a_connection_that_ends_before_it_is_ours_is_none(how):
    connection = Greeted()
    connection.alive = how != "read to its end"
    connection.wire.closing = how == "ending"
    client: Any = Client(RuntimeError(how) if how == "handler is closed" else connection, Greeted())
    links = Links(client)

    with pytest.raises((errors.NodeNotReadyError, errors.KafkaConnectionError)):
        await links.to(1)

    if how != "handler is closed":
        assert connection.closed is CloseReason.CONNECTION_BROKEN, "or aiokafka would hand it out again"
    assert (await links.to(1)).usable


async def test_closed_they_end_and_whoever_waits_for_one_learns_it():
    connection = Greeted()
    client: Any = Client(connection, Greeted())
    links = Links(client)
    asked = (await links.to(1)).ask(1, 11, b"")
    client.gate.clear()
    making = asyncio.ensure_future(links.to(2))
    await asyncio.sleep(0)

    await links.close()

    assert isinstance(asked.exception(), errors.KafkaConnectionError)
    assert connection.closed is CloseReason.SHUTDOWN
    with pytest.raises(errors.KafkaConnectionError, match="closed"):
        await making
    with pytest.raises(errors.KafkaConnectionError, match="closed"):
        await links.to(1)


async def test_whoever_is_cancelled_while_they_close_is_cancelled():
    client: Any = Client(Greeted())
    client.gate.clear()
    links = Links(client)
    waiting = asyncio.ensure_future(links.to(1))
    await asyncio.sleep(0)

    waiting.cancel()
    await links.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
