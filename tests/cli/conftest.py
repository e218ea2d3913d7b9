"""A command line in process, and a gateway on a real socket that answers as it is told."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from mesh_gateway.cli.group import cli

Run = Callable[..., Result]

PATIENCE = 10.0
"""Seconds that a test waits before it fails; nothing here takes more than a moment."""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MESH_GATEWAY_ADMIN", "MESH_GATEWAY_ADMIN_TOKEN", "MESH_GATEWAY_PLUGINS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Run:
    """Run a command line; gives Click's result with exit code, stdout and stderr."""

    def run(*arguments: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=input, prog_name="mesh-gateway")

    return run


class FakeGateway:
    """Ingress and admin API on one port. What it answers is set by the test; what it was asked is kept."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        """(method, path with query) or (method, path) -> (status, JSON document or bytes), or a list of them."""
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        """(method, path with query, headers in lower case, body), in order."""
        self.facts: list[dict[str, Any]] = []
        """What a watch is told once an event has come in."""
        self.token: str | None = None
        self.hang_up_watch = True
        """Whether the stream ends behind the last fact; False: it stays open and silent."""
        self.slow_to_watch = False
        """Whether "watching" comes a moment after the response has begun."""
        self.watches_ended = 0
        """Streams that the gateway has ended; the client has not hung up on those before."""
        self.sent_before_watching = False
        self.connections: list[int] = []
        """The client's port of every POST, in order."""
        self._arrived: queue.Queue[None] = queue.Queue()
        self._stop = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                gateway.answer(self, "GET", b"")

            def do_POST(self) -> None:
                gateway.answer(self, "POST", self.rfile.read(int(self.headers.get("content-length", 0))))

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def last(self) -> tuple[str, str, dict[str, str], bytes]:
        return self.asked[-1]

    def answer(self, to: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in to.headers.items()}
        if method == "POST":
            self.connections.append(to.client_address[1])
        self.asked.append((method, to.path, headers, body))
        path = urlsplit(to.path).path
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            self.reply(to, 401, {"detail": "this gateway asks for a token"})
        elif (answer := self.answers.get((method, to.path)) or self.answers.get((method, path))) is not None:
            self.reply(to, *(answer.pop(0) if isinstance(answer, list) else answer))
        elif path == "/api/v1/watch":
            self.watch(to)
        elif method == "POST":
            self.reply(to, 202, b"")
            self.arrive()
        else:
            self.reply(to, 404, {"detail": f"nothing at {path}"})

    def reply(self, to: BaseHTTPRequestHandler, status: int, document: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        to.send_response(status)
        to.send_header("content-length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    def watch(self, to: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(to.path).query)
        assert {"broker", "source", "id"} <= set(query)
        to.send_response(200)
        to.send_header("connection", "close")
        to.end_headers()
        if self.slow_to_watch:
            with contextlib.suppress(queue.Empty):
                self._arrived.get(timeout=0.05)
                self.sent_before_watching = True
        self.tell(to, {"event": "watching"})
        with contextlib.suppress(queue.Empty):
            self._arrived.get(timeout=PATIENCE)
        with contextlib.suppress(BrokenPipeError):
            for fact in self.facts:
                self.tell(to, fact)
        if not self.hang_up_watch:
            self._stop.wait(PATIENCE)
        self.watches_ended += 1
        to.close_connection = True

    def arrive(self) -> None:
        """An event has come in: the watch is told its facts."""
        self._arrived.put(None)

    def tell(self, to: BaseHTTPRequestHandler, fact: dict[str, Any]) -> None:
        to.wfile.write(json.dumps(fact).encode() + b"\n")
        to.wfile.flush()

    def close(self) -> None:
        self._stop.set()
        self.arrive()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()
    serving = threading.Thread(target=fake.server.serve_forever, args=(0.01,))
    serving.start()
    yield fake
    fake.close()
    serving.join()


@pytest.fixture
def nobody() -> str:
    """A URL where nobody listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}"
