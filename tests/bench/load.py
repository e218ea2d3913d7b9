"""The other side of a benchmark, as a process of its own: a producer and a subscriber, as cheap as Python can be.

    python -m tests.bench.load client PORT SECONDS REQUEST [--connections N] [--ca FILE]
    python -m tests.bench.load sink PORT [--certificate FILE KEY] [--refuse-every N]

The client sends the bytes in the file REQUEST on N connections, again with every answer, and prints what became
of it as JSON. The sink accepts every POST, but for one in N, which it answers with 503.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop

CONNECTIONS = 64
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
COUNT = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%d"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Client(asyncio.Protocol):
    """Sends the next event when the answer to the last has come, until the time is up."""

    transport: asyncio.Transport
    request: bytes
    until: float
    accepted = refused = open = 0
    finished: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Client.open += 1
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 202"):
            Client.accepted += 1
        else:
            Client.refused += 1
        if time.monotonic() < self.until:
            self.transport.write(self.request)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        Client.open -= 1
        if not Client.open and not self.finished.done():
            self.finished.set_result(None)


class Sink(asyncio.Protocol):
    """Answers each POST once it is whole, and a GET with how many it has accepted."""

    refuse_every = 0
    count = accepted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data
        if buffer.startswith(b"GET "):
            self.transport.write(COUNT % (len(str(Sink.accepted)), Sink.accepted))
            return
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            # Of content-length, which Go writes with capitals.
            start = buffer.find(b"ength: ", 0, end) + 7
            whole = end + 4 + int(buffer[start : buffer.find(b"\r\n", start)])
            if len(buffer) < whole:
                break
            self.whole(buffer, end)
            buffer = buffer[whole:]
        self.buffer = buffer

    def whole(self, buffer: bytes, end: int) -> None:
        """A request stands at the start of the buffer, its head up to `end`."""
        Sink.count += 1
        if self.refuse_every and Sink.count % self.refuse_every == 0:
            self.transport.write(BUSY)
        else:
            Sink.accepted += 1
            self.transport.write(ACCEPTED)


async def serve(
    port: int, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
) -> None:
    """Until somebody ends this process."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, ssl=tls)
    await server.serve_forever()


async def _client(asked: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    Client.request = Path(asked.request).read_bytes()
    Client.finished = loop.create_future()
    tls = ssl.create_default_context(cafile=asked.ca) if asked.ca else None
    began, cpu = time.monotonic(), time.process_time()
    Client.until = began + asked.seconds
    for _ in range(asked.connections):
        await loop.create_connection(Client, "127.0.0.1", asked.port, ssl=tls)
    await Client.finished
    found = {"accepted": Client.accepted, "refused": Client.refused}
    print(json.dumps(found | {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}))


async def _sink(asked: argparse.Namespace) -> None:
    Sink.refuse_every = asked.refuse_every
    tls = None
    if asked.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*asked.certificate)
    await serve(asked.port, Sink, tls)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.bench.load")
    modes = parser.add_subparsers(dest="mode", required=True)
    client = modes.add_parser("client")
    client.add_argument("port", type=int)
    client.add_argument("seconds", type=float)
    client.add_argument("request")
    client.add_argument("--connections", type=int, default=CONNECTIONS)
    client.add_argument("--ca")
    sink = modes.add_parser("sink")
    sink.add_argument("port", type=int)
    sink.add_argument("--certificate", nargs=2)
    sink.add_argument("--refuse-every", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark, which ends this process
    asked = _asked()
    uvloop.run({"client": _client, "sink": _sink}[asked.mode](asked))
