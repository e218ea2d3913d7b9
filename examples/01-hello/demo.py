"""Runs this example for real: gateway, subscribers, three orders, and what became of them.

Every part is a process or a thread of its own that talks HTTP, as it would in production.
Exits 0 only if each event ended where the README says it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent

HERE = Path(__file__).parent
GATEWAY = [str(Path(sys.executable).with_name("mesh-gateway"))]
PATIENCE = 20.0
"""Seconds to wait for any one thing; the whole demo takes about three."""

ORDERS = [
    ("order-1", "/eu/shop", {"amount": 12, "customer": "ada"}),
    ("order-2", "/us/web", {"amount": 40, "customer": "grace"}),
    ("order-3", "/eu/shop", {"amount": -1, "customer": "eve"}),
]


class Subscribers:
    """The three subscribers behind one port; everything they receive goes into `arrivals`."""

    def __init__(self) -> None:
        self.arrivals: queue.Queue[tuple[str, CloudEvent, int]] = queue.Queue()
        self._failures = 2
        subscribers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                event = from_http_event(HTTPMessage(dict(self.headers), body))
                name = self.path.strip("/")
                status, reply = subscribers.answer(name, event)
                self.send_response(status)
                message = to_binary_event(reply) if reply else HTTPMessage({}, b"")
                for header, value in message.headers.items():
                    self.send_header(header, value)
                self.send_header("content-length", str(len(message.body)))
                self.end_headers()
                self.wfile.write(message.body)
                subscribers.arrivals.put((name, event, status))

            def log_message(self, format: str, *args: object) -> None:
                """Keep the demo's own output readable."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def answer(self, name: str, event: CloudEvent) -> tuple[int, CloudEvent | None]:
        """What each subscriber does with an event."""
        if name != "billing":
            return 204, None
        order = event.get_data()
        if order["amount"] < 0:
            return 422, None
        if event.get_id() == "order-1" and self._failures:
            self._failures -= 1
            return 503, None
        invoice = {
            "specversion": "1.0",
            "type": "invoice.issued",
            "source": "/billing",
            "id": f"invoice-for-{event.get_id()}",
            "customer": order["customer"],
            "datacontenttype": "application/json",
        }
        return 200, CloudEvent(invoice, {"total": order["amount"]})

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.server.shutdown()
            thread.join()


@contextlib.contextmanager
def gateway(environment: dict[str, str], state: str) -> Iterator[None]:
    """A gateway that is ready, and is stopped with SIGTERM afterwards."""
    command = [*GATEWAY, "run", "-f", str(HERE / "mesh.yaml"), "--state", state]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    ready = threading.Event()

    def watch() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if '"ready"' in line or "ready" in line.split():
                ready.set()
        ready.set()

    reader = threading.Thread(target=watch, daemon=True)
    reader.start()
    try:
        if not ready.wait(PATIENCE) or process.poll() is not None:
            raise SystemExit("the gateway did not start:\n" + "".join(lines))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        reader.join()


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def send(url: str, id: str, source: str, data: dict[str, object]) -> int:
    """POST one order, made and encoded by the CloudEvents SDK."""
    attributes = {
        "specversion": "1.0",
        "type": "order.created",
        "source": source,
        "id": id,
        "datacontenttype": "application/json",
    }
    message = to_binary_event(CloudEvent(attributes, data))
    request = urllib.request.Request(url, data=message.body, headers=dict(message.headers), method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return int(response.status)


def cli(*arguments: str, environment: dict[str, str]) -> str:
    """What a verb of mesh-gateway prints."""
    done = subprocess.run(
        [*GATEWAY, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


def main() -> int:
    subscribers = Subscribers()
    ingress, admin = free_port(), free_port()
    environment = {
        **os.environ,
        "HELLO_INGRESS": str(ingress),
        "HELLO_ADMIN": str(admin),
        "HELLO_SUBSCRIBERS": str(subscribers.port),
        "MESH_GATEWAY_ADMIN": f"http://127.0.0.1:{admin}",
        "NO_COLOR": "1",
    }
    with tempfile.TemporaryDirectory() as state, subscribers.serving(), gateway(environment, state):
        print(f"gateway ready on http://127.0.0.1:{ingress}, state in a temporary directory\n")
        print("── three orders go in")
        for id, source, data in ORDERS:
            status = send(f"http://127.0.0.1:{ingress}/shop/orders", id, source, data)
            print(f"  POST /shop/orders  order.created {id} from {source}  →  {status}")
        arrived = show_arrivals(subscribers)
        letters = show_dead_letters(environment)
        show_reasons(environment)
    return verdict(arrived, letters)


EXPECTED = {
    ("billing", "order-1"): [503, 503, 200],
    ("billing", "order-2"): [200],
    ("billing", "order-3"): [422],
    ("audit-eu", "order-1"): [204],
    ("audit-eu", "order-3"): [204],
    ("mail", "invoice-for-order-1"): [204],
    ("mail", "invoice-for-order-2"): [204],
}
"""Who gets what, and with which answers."""


def show_arrivals(subscribers: Subscribers) -> dict[tuple[str, str], list[int]]:
    """Print what arrives until everything expected has ended."""
    print("\n── what arrived where")
    arrived: dict[tuple[str, str], list[int]] = {}
    with contextlib.suppress(queue.Empty):
        while arrived != EXPECTED:
            name, event, status = subscribers.arrivals.get(timeout=PATIENCE)
            codes = arrived.setdefault((name, event.get_id()), [])
            codes.append(status)
            again = f"  (attempt {len(codes)})" if len(codes) > 1 or status == 503 else ""
            print(f"  {name:9} {event.get_type():15} {event.get_id():20} answered {status}{again}")
    return arrived


def show_dead_letters(environment: dict[str, str]) -> list[dict[str, object]]:
    """Print the dead letters, once there are any."""
    print("\n── what ended in the dead letters")
    letters: list[dict[str, object]] = []
    for _ in range(100):
        letters = json.loads(cli("dlq", "list", "shop/orders", "-o", "json", environment=environment) or "[]")
        if letters:
            break
    for letter in letters:
        print(
            f"  {letter['id']}: {letter['trigger']} refused it ({letter['reason']}) "
            f"after {letter['attempts']} attempt(s)"
        )
    return letters


def show_reasons(environment: dict[str, str]) -> None:
    """Print why the other triggers did not get the order from the US."""
    print("\n── why not? (mesh-gateway explain, for order-2)")
    explained = cli(
        "explain", "-f", str(HERE / "mesh.yaml"), "--broker", "shop/orders", "--type", "order.created",
        "--source", "/us/web", environment=environment,
    )  # fmt: skip
    print("  " + explained.strip().replace("\n", "\n  "))


def verdict(arrived: dict[tuple[str, str], list[int]], letters: list[dict[str, object]]) -> int:
    """0 if everything ended where it should."""
    good = arrived == EXPECTED and [
        (letter["id"], letter["trigger"], letter["code"]) for letter in letters
    ] == [("order-3", "shop/billing", 422)]
    print("\n" + ("everything ended where it should" if good else "NOT as expected: see above"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
