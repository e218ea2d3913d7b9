"""A consumer's client sends fetches over links of its own, in the broker's version, and all else as ever."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from aiokafka import OffsetAndMetadata, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchResponse_v10, FetchResponse_v11
from mesh_gateway_kafka.consumer import Client, Coordinator
from mesh_gateway_kafka.fetches import Fetch

FETCH = Fetch(500, 1, 1, 1, [("t", [(0, 1, 1)])], "")
FOUND = [("t", [(0, 0, 1, 1, 1, [], b"records")])]


class Link:
    """Answers every question so."""

    def __init__(self, newest: int, answer: bytes) -> None:
        self.versions = {Fetch.API_KEY: (4, newest)}
        self._answer = answer
        self.asked: list[tuple[int, int]] = []
        self.lost: Any = None

    def ask(self, what: int, version: int, body: bytes) -> asyncio.Future[bytes]:
        self.asked.append((what, version))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.set_result(self._answer)
        return answer

    def lose(self, why: Exception) -> None:
        self.lost = why


class Links:
    def __init__(self, link: Link) -> None:
        self._link = link
        self.closed = False

    async def to(self, node: int) -> Link:
        return self._link

    async def close(self) -> None:
        self.closed = True


def client(newest: int, answer: bytes) -> tuple[Client, Link]:
    made, link = Client(bootstrap_servers="127.0.0.1:1"), Link(newest, answer)
    made._links = Links(link)
    return made, link


@pytest.mark.parametrize(
    ("newest", "answer"),
    [
        (17, FetchResponse_v11(0, 0, 0, [("t", [(0, 0, 1, 1, 1, [], -1, b"records")])])),
        (10, FetchResponse_v10(0, 0, 0, FOUND)),
    ],
    ids=["newest", "older"],
)
async def test_a_fetch_is_asked_in_the_version_that_the_broker_knows(newest, answer):
    made, link = client(newest, answer.encode())

    found = await made.send(1, FETCH)

    assert link.asked == [(1, min(newest, 11))]
    [(topic, [(*_, records)])] = found.topics
    assert (topic, records) == ("t", b"records")


async def test_what_is_no_answer_loses_the_connection_and_may_be_asked_again():
    made, link = client(11, b"\0\0")

    with pytest.raises(errors.KafkaProtocolError) as raised:
        await made.send(1, FETCH)

    assert raised.value.retriable
    assert link.lost is raised.value


async def test_all_else_goes_as_ever(monkeypatch):
    made, link = client(11, b"")

    async def sent(self: Any, node: int, request: Any, *, group: Any) -> str:
        return "as ever"

    monkeypatch.setattr(AIOKafkaClient, "send", sent)

    assert await made.send(1, object()) == "as ever"
    assert not link.asked


async def test_closed_its_links_are():
    made, _ = client(11, b"")

    await made.close()

    assert made._links.closed


async def test_cancelled_while_it_starts_it_leaves_no_connection_open(monkeypatch):
    made, _ = client(11, b"")
    closed = asyncio.Event()
    answer = asyncio.Event()

    async def bootstrap(self: Any) -> None:
        await answer.wait()
        closed.set()

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", bootstrap)
    starting = asyncio.ensure_future(made.bootstrap())
    await asyncio.sleep(0)

    starting.cancel()
    await asyncio.sleep(0)
    answer.set()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert closed.is_set()


class Cut(Coordinator):
    """Knows its broker, and loses the connection to it while a commit waits for its answer."""

    def __init__(self) -> None:
        self.group_id, self.generation, self.member_id, self.coordinator_id = "g", 1, "m", 1
        self._commit_lock = asyncio.Lock()
        self.commit: Any = None
        self.asked, self.cut = asyncio.Event(), asyncio.Event()

    async def ensure_coordinator_known(self) -> None:
        pass

    async def _send_req(self, request: Any) -> Any:
        self.commit = asyncio.current_task()
        self.asked.set()
        await self.cut.wait()
        raise errors.KafkaConnectionError("closed")


async def test_a_commit_whose_caller_was_cancelled_ends_without_a_word():
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    coordinator = Cut()
    offsets = {TopicPartition("t", 0): OffsetAndMetadata(1, "")}
    caller = asyncio.create_task(coordinator.commit_offsets(None, offsets))
    await coordinator.asked.wait()

    caller.cancel()
    await asyncio.wait([caller])
    coordinator.cut.set()
    await asyncio.wait([coordinator.commit])
    coordinator.commit = None
    gc.collect()

    assert told == []
