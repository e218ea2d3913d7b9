"""Two thousand clients that are slow on purpose: others are served meanwhile, and their places come back."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import AsyncIterator, Iterator

import pytest

from mesh_gateway.ingress.limits import IngressLimits
from mesh_gateway.ingress.protocol import _LINGERING
from tests.ingress.serving import Client, Served, event, serving, until

SLOW = 2_000
HEAD = event("slow")[:30]
BODY = event("slow", b"12345")[:-4]


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Both ends of every connection are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * SLOW + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"the system grants {hard} open files, and this needs {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def slow_clients(served: Served, begin: bytes, count: int = SLOW) -> AsyncIterator[list[Client]]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(served.client()) for _ in range(count)]
        for client in clients:
            client.send(begin)
        if begin:
            await until(lambda: sum(c._state > 0 for c in served.listener._connections) == count)
        yield clients


async def assert_served(served: Served, id: str) -> None:
    async with served.client() as client:
        assert (await client.ask(event(id))).status == 202


@pytest.mark.parametrize(
    ("begin", "rest", "due", "answer"),
    [(HEAD, b"rest: x\r\nx", 10.0, b"408"), (BODY, b"23", 30.0, b"408"), (b"", b"", 60.0, b"")],
    ids=["heads", "bodies", "idle"],
)
async def test_slow_clients_are_ended_at_their_deadline_and_nobody_waits_for_them(
    begin: bytes, rest: bytes, due: float, answer: bytes
) -> None:
    async with serving() as served, slow_clients(served, begin) as clients:
        for n in range(len(rest)):  # a trickle: no byte moves the deadline
            for client in clients:
                client.send(rest[n : n + 1])
            await assert_served(served, f"between-{n}")
        served.sweep_in(due)
        assert len(served.listener._connections) >= SLOW
        assert 408 not in served.counters.responses
        assert not any(c._state == _LINGERING for c in served.listener._connections)
        await assert_served(served, "before")
        served.sweep_in(due + 0.001)
        for client in clients:
            said = await client.rest()
            assert said[9:12] == answer
        served.sweep_in(due + 5.0)
        await served.listener.closed()
        assert served.endpoint.in_hand.bytes == 0
        await assert_served(served, "after")


async def test_when_slow_clients_hold_every_place_others_are_told_and_served_after_the_deadline() -> None:
    limits = IngressLimits(max_connections=500)
    async with serving(limits) as served, slow_clients(served, HEAD, 500):
        async with served.client() as other:
            reply = await other.reply()
            assert (reply.status, reply.headers["retry-after"], reply.closes) == (503, "1", True)
        served.sweep_in(10.5)
        served.sweep_in(13.0)
        await served.listener.closed()
        await assert_served(served, "after")
