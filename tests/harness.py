"""A subscriber and a gateway for tests that need whole processes or real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from mesh_gateway.testing.ports import free_port

PATIENCE = float(os.environ.get("MESH_PATIENCE", "30"))
"""Seconds after which a test gives up; none of them needs more than a fraction of it on a machine of its own."""


@dataclass(slots=True)
class Request:
    """What a subscriber received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers.get("ce-id", "")


@dataclass(slots=True)
class Answer:
    """What it answers; `Subscriber.HANG` never does."""

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


HANG = Answer(0)


class Server(ABC):
    """Listens on a port of its own while its block runs, on the same one in the next; connections end with the block."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which is closed when this returns, or is cut off when the client goes."""

    async def __aenter__(self) -> Self:
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**22)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


class Subscriber(Server):
    """An HTTP server that records what comes and answers as `answer(request)` says, while `answering` is set."""

    def __init__(self, answer: Callable[[Request], Answer] | None = None) -> None:
        super().__init__()
        self.answer = answer or (lambda request: Answer())
        self.requests: list[Request] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.answered: set[str] = set()
        """Ids of events that it has said yes to."""
        self._arrived = asyncio.Condition()

    def ids(self, path: str | None = None) -> list[str]:
        """Event ids in order of arrival."""
        return [r.id for r in self.requests if path is None or r.path == path]

    async def received(self, enough: Callable[[list[Request]], bool]) -> list[Request]:
        """The requests, once `enough` says so."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: enough(self.requests))
        return self.requests

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _read(reader)
            answer = self.answer(request)
            async with self._arrived:
                self.requests.append(request)
                self._arrived.notify_all()
            if answer is HANG:
                await reader.read()
                return
            await self.answering.wait()
            if answer.status < 300:
                async with self._arrived:
                    self.answered.add(request.id)
                    self._arrived.notify_all()
            writer.write(_rendered(answer))
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:]) if k}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(lines[0].split()[1], headers, body)


def _rendered(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} X", f"content-length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body


class Started(Protocol):
    """What a gateway's process can be asked and told; `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signal: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


class GatewayProcess:
    """`mesh-gateway run` as a process of its own, on the same addresses and state at every start."""

    def __init__(
        self,
        documents: str,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        *,
        verb: str = "run",
        options: Sequence[str] = (),
        listens: tuple[int, int] | None = None,
    ) -> None:
        """`listens`: the ports of ingress and admin as the documents have them; else they are given as options."""
        self.file = directory / "mesh.yaml"
        self.file.write_text(documents)
        self.state = directory / "state"
        self.ingress, self.admin = listens or (free_port(), free_port())
        self.verb = verb
        self.options = list(options)
        self._listens_by_option = listens is None
        self.log = directory / "gateway.log"
        self.environment = {**os.environ, **(environment or {})}
        self.seconds_to_ready = 0.0
        """From the start of its process to its readiness, the last time that this was waited for."""
        self._process: Started | None = None

    @property
    def _addresses(self) -> Sequence[str]:
        if not self._listens_by_option:
            return ()
        return "--ingress", f"127.0.0.1:{self.ingress}", "--admin", f"127.0.0.1:{self.admin}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ingress}"

    async def start(self, *, until_ready: bool = True) -> None:
        """Start, and wait until it is ready, or until it only listens."""
        begun = time.monotonic()
        self._process = await self._started(
            self.verb, "-f", str(self.file), "--state", str(self.state), *self.options, *self._addresses
        )
        async with asyncio.timeout(PATIENCE):
            while not await (self.is_ready() if until_ready else self._listens()):
                if self._process.returncode is not None:
                    raise AssertionError(f"the gateway ended:\n{self.log.read_text()}")
                await asyncio.sleep(0.02)
        self.seconds_to_ready = time.monotonic() - begun

    async def _started(self, *words: str) -> Started:
        """`mesh-gateway` with these words."""
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mesh_gateway", *words, stdout=log, stderr=log, env=self.environment
            )

    async def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            return (await self.get("/livez"))[0] == 200
        return False

    async def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return (await self.get("/readyz"))[0] == 200
        return False

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def wait(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def get(self, path: str) -> tuple[int, Any]:
        """A GET on the admin API: (status, JSON or text)."""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.admin}{path}")

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get("/api/v1/status"))[1]
        return found

    async def dead_letters(self, broker: str = "default/b") -> list[dict[str, Any]]:
        """The rows of all letters in the dead-letter channel of a broker."""
        found: list[dict[str, Any]] = []
        path = f"/api/v1/dead-letters?broker={broker}&limit=500"
        following = ""
        while True:
            status, page = await self.get(path + (f"&after={following}" if following else ""))
            assert status == 200, page
            found += page["items"]
            if page["next"] is None:
                return found
            following = page["next"]

    async def settled(self) -> dict[str, Any]:
        """The status once nothing is waiting anywhere."""
        async with asyncio.timeout(PATIENCE):
            while True:
                status = await self.status()
                if all(t["window"] == 0 and not t["parked"] for t in status["triggers"]):
                    return status
                await asyncio.sleep(0.05)


def _get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
            return response.status, json.loads(text) if text.startswith("{") else text
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Producer:
    """A keep-alive client that posts binary events and remembers what was acknowledged.

    A request that gets no answer within `PATIENCE` is a `TimeoutError`.
    """

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self.sent: list[str] = []
        self.acknowledged: list[str] = []
        self.answers: list[int] = []

    async def send(self, ids: Iterable[str], **attributes: str) -> None:
        """Post one event after the other; stops quietly when the gateway goes away."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return
        try:
            for id in ids:
                self.sent.append(id)
                writer.write(self._request(id, attributes))
                async with asyncio.timeout(PATIENCE):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status = int(head.split()[1])
                self.answers.append(status)
                if status == 202:
                    self.acknowledged.append(id)
                length = next(
                    (
                        int(line[15:])
                        for line in head.lower().split("\r\n")
                        if line.startswith("content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
        except TimeoutError:
            raise  # it is an OSError
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    def _request(self, id: str, attributes: Mapping[str, str]) -> bytes:
        given = {"specversion": "1.0", "type": "t", "source": "/tests", "id": id, **attributes}
        lines = [
            f"POST {self._path} HTTP/1.1",
            "host: gateway",
            "content-length: 2",
            "content-type: application/json",
        ]
        lines += [f"ce-{name}: {value}" for name, value in given.items()]
        return ("\r\n".join(lines) + "\r\n\r\n{}").encode()


PRODUCERS = 4
"""For each gateway under `load`."""

BURST, BREATH = 10, 0.05
"""Events in a row, and seconds before the next: some 600 a second, which one process can send and receive."""


@contextlib.asynccontextmanager
async def load(*gateways: GatewayProcess, breath: float = BREATH) -> AsyncIterator[list[Producer]]:
    """Producers that never stop sending to `default/b`, until the block ends; no two events have the same id."""
    producers = [Producer(gateway.ingress, "/default/b") for gateway in gateways for _ in range(PRODUCERS)]
    stop = asyncio.Event()

    async def send(producer: Producer, number: int) -> None:
        sent = 0
        while not stop.is_set():
            await producer.send(f"{number}-{sent + n}" for n in range(BURST))
            sent += BURST
            await asyncio.sleep(breath)

    async with asyncio.TaskGroup() as tasks:
        for number, producer in enumerate(producers):
            tasks.create_task(send(producer, number))
        try:
            yield producers
        finally:
            stop.set()


class Acknowledged(Protocol):
    """Whoever sends, and remembers what was acknowledged."""

    acknowledged: list[str]


async def acknowledged_more(producers: Sequence[Acknowledged], count: int = 50) -> None:
    """Returns once `count` more events were acknowledged: the load goes through."""
    before = sum(len(producer.acknowledged) for producer in producers)
    async with asyncio.timeout(120):
        while sum(len(producer.acknowledged) for producer in producers) < before + count:
            await asyncio.sleep(0.02)


async def refused_each(producers: Sequence[Producer]) -> None:
    """Returns once every producer was answered 503 anew: none of them hangs."""
    before = [producer.answers.count(503) for producer in producers]
    async with asyncio.timeout(120):
        while not all(p.answers.count(503) > b for p, b in zip(producers, before, strict=True)):
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(gateway: GatewayProcess, *, until_ready: bool = True) -> AsyncIterator[GatewayProcess]:
    """A started gateway that is surely gone afterwards."""
    try:
        await gateway.start(until_ready=until_ready)
        yield gateway
    finally:
        if gateway.runs:
            await gateway.kill()


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """One POST; its status."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


async def accepted(gateway: GatewayProcess, path: str, id: str, patience: float = PATIENCE) -> None:
    """Send an event until it is taken: a Broker may not be open yet."""
    async with asyncio.timeout(patience):
        while await send_batch(gateway, path, [id]) != 202:
            await asyncio.sleep(0.1)


async def send_batch(gateway: GatewayProcess, path: str, ids: Iterable[str], **attributes: str) -> int:
    """One batch of events; the status."""
    events = [{"specversion": "1.0", "type": "t", "source": "/tests", "id": id, **attributes} for id in ids]
    headers = {"content-type": "application/cloudevents-batch+json"}
    return await asyncio.to_thread(post, gateway.url + path, json.dumps(events).encode(), headers)
