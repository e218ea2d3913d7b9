"""Rolling restarts under keep-alive clients: whatever a gateway has read is answered, and stopping resets nobody.

`MESH_STOPS` is how many SIGTERMs; in `make test-faults` they are the 20 that are promised.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.faults.figures import counts
from tests.faults.scale import scaled
from tests.harness import GatewayProcess, Subscriber, acknowledged_more, running

STOPS = scaled(4, 20, "MESH_STOPS")
CLIENTS = 12
BREATH = 0.01
"""Seconds between a client's answer and its next request: its connection is idle for most of the time."""

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/"}}}}
"""


@dataclass(slots=True)
class Fate:
    """What became of the requests of all clients."""

    acknowledged: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    """How requests ended that were sent on an open connection and got no answer."""


class KeepAlive:
    """A client that uses one connection until it is told to close it, or finds it closed before it sends.

    It goes to the next gateway when a connection is refused, and sends nothing twice.
    """

    def __init__(self, name: str, gateways: tuple[GatewayProcess, ...], fate: Fate) -> None:
        self._ids = (f"{name}-{n}" for n in count())
        self._ports = [gateway.ingress for gateway in gateways]
        self._fate = fate
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter

    async def send(self) -> None:
        """One event; its fate is noted."""
        reader = self._reader
        if reader is None or reader.at_eof():
            reader = await self._connected()
        id = next(self._ids)
        answer = b""
        try:
            self._writer.write(
                b"POST /default/b HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\nce-specversion: 1.0\r\n"
                b"ce-type: t\r\nce-source: /tests\r\nce-id: %b\r\n\r\n{}" % id.encode()
            )
            answer = await reader.readuntil(b"\r\n\r\n")
            status, length, last = _read(answer)
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._fate.unanswered.append(f"{id}: {error!r} after {answer!r}")
            self._disconnect()
            return
        self._fate.answers[status] += 1
        if status == 202:
            self._fate.acknowledged.append(id)
        if last:
            self._disconnect()

    async def _connected(self) -> asyncio.StreamReader:
        self._disconnect()
        while True:
            try:
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self._ports[0])
            except ConnectionRefusedError:
                self._ports.append(self._ports.pop(0))
                await asyncio.sleep(0.01)
            else:
                self._reader = reader
                return reader

    def _disconnect(self) -> None:
        if self._reader is not None:
            self._reader = None
            self._writer.close()


def _read(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether it is the last answer of its connection."""
    lines = head.decode("latin-1").lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), int(fields["content-length"]), fields.get("connection") == "close"


@contextlib.asynccontextmanager
async def clients(*gateways: GatewayProcess) -> AsyncIterator[Fate]:
    """Clients that send until the block ends, half of them to each gateway first."""
    fate, stop = Fate(), asyncio.Event()

    async def go_on(client: KeepAlive) -> None:
        while not stop.is_set():
            await client.send()
            await asyncio.sleep(BREATH)
        client._disconnect()

    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            first = number % len(gateways)
            ordered = gateways[first:] + gateways[:first]
            tasks.create_task(go_on(KeepAlive(str(number), ordered, fate)))
        try:
            yield fate
        finally:
            stop.set()


async def test_rolling_restarts_answer_every_request_and_lose_no_event(tmp_path: Path):
    async with Subscriber() as subscriber:
        documents = DOCUMENTS.format(url=subscriber.url)
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        pair = tuple(GatewayProcess(documents, tmp_path / name) for name in ("first", "second"))
        async with running(pair[0]), running(pair[1]):
            async with clients(*pair) as fate:
                for number in range(STOPS):
                    await acknowledged_more([fate], 200)
                    assert await pair[number % 2].terminate() == 0
                    await pair[number % 2].start()
                await acknowledged_more([fate], 200)
            for gateway in pair:
                await gateway.settled()

        counts(10, stops=STOPS, events=len(fate.acknowledged), answers_503=fate.answers[503])
        assert not fate.unanswered
        assert set(fate.answers) <= {202, 503}
        arrived = subscriber.ids()
        assert set(fate.acknowledged) <= set(arrived)
        assert len(arrived) == len(set(arrived)), "a stop in order leaves nothing under way"


async def test_a_connection_that_stays_idle_is_closed_and_not_reset(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            idle = [await asyncio.open_connection("127.0.0.1", gateway.ingress) for _ in range(20)]

            assert await gateway.terminate() == 0
            for reader, writer in idle:
                assert await reader.read() == b""  # a reset would raise
                writer.close()
