"""Runs this example for real: two gateways, one on RabbitMQ and one on Kafka, and what crosses between them.

Each gateway is a process of its own, with its own documents and state. Exits 0 only if each event ended where the README
says it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
GATEWAY = [str(Path(sys.executable).with_name("mesh-gateway"))]
PATIENCE = 60.0
"""Seconds to wait for any one thing; the whole demo takes about ten."""

SERVERS = {"TWO_RABBITMQ": "MESH_TEST_RABBITMQ", "TWO_KAFKA": "MESH_TEST_KAFKA"}
"""Our variables, and those by which scripts/services says where its servers are."""

NO_SERVERS = """\
this example needs a RabbitMQ and a Kafka; no server is named. From the top of the repository:

    scripts/services up rabbitmq kafka && eval "$(scripts/services env)"

Servers of your own: set TWO_RABBITMQ (amqp://…) and TWO_KAFKA (host:port)."""

SENT = [
    ("eu", "order.created", "berlin-1"),
    ("eu", "order.created", "berlin-2"),
    ("eu", "page.viewed", "view-1"),
    ("us", "order.created", "boston-1"),
]
LATE = ("eu", "order.created", "berlin-3")
"""Sent while the other gateway is away."""

EXPECTED = {
    "eu": {"berlin-1": 1, "berlin-2": 1, "view-1": 1, "boston-1": 1, "berlin-3": 1},
    "us": {"berlin-1": 1, "berlin-2": 1, "boston-1": 1, "berlin-3": 1},
}
"""How often each gateway's subscriber gets each event."""


class Subscribers:
    """One subscriber for each gateway; everything they receive goes into `arrivals`."""

    def __init__(self) -> None:
        self.arrivals: queue.Queue[tuple[str, str, str]] = queue.Queue()
        self.counts: dict[str, dict[str, int]] = {cluster: {} for cluster in EXPECTED}
        arrivals = self.arrivals

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                self.send_response(204)
                self.end_headers()
                arrivals.put(
                    (self.path.strip("/"), self.headers["ce-id"], self.headers.get("ce-meshvia", ""))
                )

            def log_message(self, format: str, *args: object) -> None:
                """Keep the demo's own output readable."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()

    def show(self, count: int, patience: float = PATIENCE) -> None:
        """Print so many arrivals, as far as they come."""
        with contextlib.suppress(queue.Empty):
            for _ in range(count):
                cluster, id, via = self.arrivals.get(timeout=patience)
                self.counts[cluster][id] = self.counts[cluster].get(id, 0) + 1
                print(
                    f"  {cluster}  {id:9} "
                    + (f"came over the relay; logged before by {via}" if via else "sent here")
                )


class Gateway:
    """A gateway that can be stopped and started again."""

    def __init__(self, cluster: str, environment: dict[str, str], state: Path) -> None:
        self.cluster = cluster
        self._environment = {**environment, "MESH_GATEWAY_ADMIN": environment[f"{cluster.upper()}_ADMIN_URL"]}
        self._state = state / cluster
        self.url = environment[f"{cluster.upper()}_URL"]
        self._log = state / f"{cluster}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is ready."""
        command = [*GATEWAY, "run", "-f", str(HERE / f"{self.cluster}.yaml"), "--state", str(self._state)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        until(self._ready, f"{self.cluster} did not start; its log:\n", self._log)

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise SystemExit(f"{self.cluster} ended; its log:\n{self._log.read_text()}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def stop(self) -> None:
        """SIGTERM: it finishes in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def cli(self, *arguments: str) -> str:
        """What a verb of mesh-gateway prints of this gateway."""
        done = subprocess.run(
            [*GATEWAY, *arguments], env=self._environment, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    def relay(self) -> dict[str, object]:
        """The status of its relay."""
        [relay] = json.loads(self.cli("status", "-o", "json"))["relays"]
        return dict(relay)

    def relays_to_a_gateway(self) -> bool:
        """Its relay has met the other gateway."""
        return self.relay()["mode"] == "batches"

    def waits_for_its_target(self) -> bool:
        """Its relay's target is away, and an event waits for it."""
        relay = self.relay()
        return relay["mode"] is None and relay["backlog"] == 1

    def post(self, type: str, id: str, token: str | None = None) -> int:
        """POST one event to its Broker; the status."""
        headers = {"ce-specversion": "1.0", "ce-type": type, "ce-source": f"/{self.cluster}/web", "ce-id": id}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{self.url}/shop/orders", b"{}", headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def until(fact: Callable[[], bool], failed: str, log: Path | None = None) -> None:
    """Wait until it is so."""
    end = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > end:
            raise SystemExit(failed + ("" if log is None else log.read_text()))
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def surroundings(subscribers: Subscribers) -> dict[str, str]:
    """What the documents ask of the environment. The names on the servers are those of this run alone."""
    environment = {
        **os.environ,
        "TWO_PREFIX": f"two-gateways-{secrets.token_hex(4)}",
        "TWO_SUBSCRIBERS": subscribers.url,
        "NO_COLOR": "1",
    }
    for ours, theirs in SERVERS.items():
        if not environment.setdefault(ours, environment.get(theirs, "")):
            raise SystemExit(NO_SERVERS)
    for cluster in ("EU", "US"):
        ingress, admin = free_port(), free_port()
        environment |= {
            f"{cluster}_INGRESS": str(ingress),
            f"{cluster}_ADMIN": str(admin),
            f"{cluster}_URL": f"http://127.0.0.1:{ingress}",
            f"{cluster}_ADMIN_URL": f"http://127.0.0.1:{admin}",
            f"{cluster}_TOKEN": secrets.token_urlsafe(24),
        }
    return environment


def main() -> int:
    subscribers = Subscribers()
    environment = surroundings(subscribers)
    with tempfile.TemporaryDirectory() as state, subscribers.serving(), contextlib.ExitStack() as stack:
        eu, us = (Gateway(cluster, environment, Path(state)) for cluster in ("eu", "us"))
        for gateway in (eu, us):
            stack.callback(gateway.stop)
            gateway.start()
        for gateway in (eu, us):
            until(gateway.relays_to_a_gateway, f"the relay of {gateway.cluster} does not meet its target")
        print(f"eu on {eu.url} (RabbitMQ), us on {us.url} (Kafka), a relay each way\n")
        stranger = orders_go_in({"eu": eu, "us": us})
        print("\n── what arrived where")
        subscribers.show(len(SENT) * 2 - 1)
        waited = us_goes_away(eu, us, subscribers)
        for gateway in (eu, us):
            print(f"\n── mesh-gateway status, of {gateway.cluster}")
            print("  " + gateway.cli("status").strip().replace("\n", "\n  "))
        subscribers.show(1, patience=1.0)  # nothing more should come
    good = subscribers.counts == EXPECTED and stranger == 401 and waited
    print("\n" + ("everything ended where it should" if good else "NOT as expected: see above"))
    return 0 if good else 1


def orders_go_in(gateways: dict[str, Gateway]) -> int:
    """Send to both gateways, and once as a stranger with a token that nobody knows: the answer to that."""
    print("── events go in")
    for cluster, type, id in SENT:
        print(f"  POST to {cluster}  {type:13} {id:9} →  {gateways[cluster].post(type, id)}")
    status = gateways["eu"].post("order.created", "forged", token="a-guess")
    print(f"  POST to eu  order.created forged, with a token that nobody has  →  {status}")
    return status


def us_goes_away(eu: Gateway, us: Gateway, subscribers: Subscribers) -> bool:
    """An order that is sent meanwhile waits on RabbitMQ. Whether the status said so."""
    print("\n── us is stopped, an order comes in at eu")
    us.stop()
    cluster, type, id = LATE
    print(f"  POST to {cluster}  {type:13} {id:9} →  {eu.post(type, id)}")
    subscribers.show(1)
    until(eu.waits_for_its_target, "the status of eu does not show that an order waits")
    relay = eu.relay()
    print(f"  eu's relay to us: {relay['backlog']} waiting on RabbitMQ, last error: {relay['last_error']}")
    print("\n── us is started again")
    us.start()
    subscribers.show(1)
    return relay["mode"] is None


if __name__ == "__main__":
    sys.exit(main())
