"""The whole gateway as a process on one core: events in over HTTP, out over HTTP, each stored durably.

The client and the subscriber are processes of their own on the other core; what is counted is the
CPU time of the gateway process (user and system, from /proc) for each delivered event of 1 KiB.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from tests.harness import free_port
from tests.transports import BACKINGS, EMBEDDED, ON_MAIN, Backing

SECONDS = 3.0
RUNS = 3
CONNECTIONS = 64
TRIGGERS = (1, 100, 1_000)

BODY = b'{"a":"' + b"x" * 1_016 + b'"}'
REQUEST = (
    b"POST /shop/orders HTTP/1.1\r\nhost: bench\r\nce-specversion: 1.0\r\n"
    b"ce-id: a1b2c3d4-0000-4000-8000-000000000001\r\nce-source: /shop/orders/eu-west-1\r\n"
    b"ce-type: com.example.order.created\r\nce-subject: order/12345\r\nce-time: 2026-10-01T12:00:00.123456Z\r\n"
    b"ce-tenant: acme\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


def documents(triggers: int, sink: int, backing: Backing) -> str:
    """A broker and many triggers of which one matches."""
    broker = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: orders, namespace: shop}\n"
    found = [f"{broker}spec: {{{ON_MAIN}}}\n"]
    for number in range(triggers):
        wanted = "com.example.order.created" if number == 0 else f"com.example.other.t{number}"
        found.append(
            "apiVersion: eventing.knative.dev/v1\nkind: Trigger\n"
            f"metadata: {{name: t{number}, namespace: shop}}\n"
            f"spec: {{broker: orders, filters: [{{exact: {{type: {wanted}}}}}], "
            f'subscriber: {{uri: "http://127.0.0.1:{sink}/"}}}}\n'
        )
    return "---\n".join(found) + backing.document(f"bench{uuid.uuid4().hex[:8]}")


def run() -> list[tuple[str, float, str]]:
    """Rows for 1, 100 and 1,000 triggers, and for each transport: the median run, with least and most beside it."""
    rows = [_row(f"end to end, {triggers} triggers", triggers, EMBEDDED) for triggers in TRIGGERS]
    remote = [backing for backing in BACKINGS if backing.variable]
    return rows + [
        _row(f"end to end over {backing.kind}", 1, backing)
        if backing.server
        else (f"end to end over {backing.kind}: no server", 0.0, f"scripts/services up {backing.kind}")
        for backing in remote
    ]


def _row(what: str, triggers: int, backing: Backing) -> tuple[str, float, str]:
    found = sorted(_measured(triggers, backing) for _ in range(RUNS))
    costs = [cost for cost, _ in found]
    rate = statistics.median(rate for _, rate in found)
    note = f"{costs[0]:.1f}–{costs[-1]:.1f}, {rate:,.0f} events/s on one core"
    return what, statistics.median(costs), note


def _measured(triggers: int, backing: Backing) -> tuple[float, float]:
    """(CPU µs per event, events/s) of one run."""
    sink, ingress, admin = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "mesh.yaml"
        file.write_text(documents(triggers, sink, backing))
        command = [
            sys.executable,
            "-m",
            "mesh_gateway",
            "run",
            "-f",
            str(file),
            "--state",
            f"{directory}/state",
        ]
        command += [
            "--ingress",
            f"127.0.0.1:{ingress}",
            "--admin",
            f"127.0.0.1:{admin}",
            "--log-level",
            "error",
        ]
        subscriber = subprocess.Popen([sys.executable, __file__, "sink", str(sink)])
        gateway = subprocess.Popen([*_pinned(0), *command])
        try:
            _wait_until_ready(admin)
            _load(ingress)  # warm
            delivered = _drained(admin)
            cpu = _cpu(gateway.pid)
            began = time.monotonic()
            _load(ingress)
            elapsed = time.monotonic() - began
            count = _drained(admin) - delivered
            return (_cpu(gateway.pid) - cpu) / count * 1e6, count / elapsed
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(30)
            subscriber.kill()
            subscriber.wait()


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


def _load(port: int) -> None:
    subprocess.run([*_pinned(1), sys.executable, __file__, "client", str(port)], check=True)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _drained(admin: int) -> int:
    """Events delivered, once all that were accepted are."""
    for _ in range(2_400):
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/api/v1/status", timeout=10) as response:
            status = json.load(response)
        delivered: int = status["triggers"][0]["delivered"]
        if delivered >= status["brokers"][0]["accepted"]:
            return delivered
        time.sleep(0.05)
    raise SystemExit("the gateway did not deliver what it had accepted")


def _wait_until_ready(admin: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5).close()
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the gateway did not become ready")


class _Client(asyncio.Protocol):
    """Sends the next event when the answer to the last has come."""

    until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(REQUEST)  # type: ignore[attr-defined]  # a stream transport

    def data_received(self, data: bytes) -> None:
        if time.monotonic() < self.until:
            self.transport.write(REQUEST)  # type: ignore[attr-defined]
        else:
            self.transport.close()


class _Sink(asyncio.Protocol):
    """Accepts everything as cheaply as Python can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            start = buffer.find(b"content-length: ", 0, end) + 16
            whole = end + 4 + int(buffer[start : buffer.find(b"\r\n", start)])
            if len(buffer) < whole:
                break
            buffer = buffer[whole:]
            self.transport.write(ACCEPTED)  # type: ignore[attr-defined]
        self.buffer = buffer


async def _client(port: int) -> None:
    _Client.until = time.monotonic() + SECONDS
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(_Client, "127.0.0.1", port)
    await asyncio.sleep(SECONDS + 0.3)


async def _sink(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run({"client": _client, "sink": _sink}[sys.argv[1]](int(sys.argv[2])))
