"""The processes of a benchmark: the gateway on one core, producer and subscriber on another."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import trustme

from mesh_gateway.testing.ports import free_port
from tests.bench import noise
from tests.bench.load import CONNECTIONS
from tests.transports import BACKINGS, ON_MAIN, SERVICES, Backing

ROOT = Path(__file__).parents[2]
UNDER_TEST, OTHERS = 0, 1
"""Cores."""

PATIENCE = 120.0
"""Seconds for what a load has left behind; it is seconds on an idle machine."""

REMOTE = [backing for backing in BACKINGS if backing.variable]


def pinned(core: int | None) -> list[str]:
    """Words before a command that keep it on a core, where there are several; None: on any."""
    return ["taskset", "-c", str(core)] if core is not None and (os.cpu_count() or 1) > 1 else []


@contextlib.contextmanager
def on_core_under_test() -> Iterator[None]:
    """This process on the core of what is measured."""
    before = os.sched_getaffinity(0)
    if len(before) > 1:
        os.sched_setaffinity(0, {UNDER_TEST})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def spawned(
    core: int | None, *command: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is surely gone afterwards: SIGTERM, and SIGKILL to whoever does not heed it."""
    process = subprocess.Popen([*pinned(core), *command], cwd=ROOT, env={**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns once somebody listens there. Raises `SystemExit` if the process ends before."""
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}: the process has ended with {process.returncode}")


def module(name: str, *words: str) -> list[str]:
    """The command that runs a module of this interpreter."""
    return [sys.executable, "-m", name, *words]


# ── certificates ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Certificates:
    """Files of a throw-away authority and of what it has signed for this machine."""

    ca: Path
    certificate: Path
    key: Path


def certificates(directory: Path) -> Certificates:
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1", "localhost")
    found = Certificates(directory / "ca.pem", directory / "certificate.pem", directory / "key.pem")
    authority.cert_pem.write_to_path(found.ca)
    own.private_key_pem.write_to_path(found.key)
    for number, part in enumerate(own.cert_chain_pems):
        part.write_to_path(found.certificate, append=number > 0)
    return found


# ── producer and subscriber ──────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def sink(
    certificates: Certificates | None = None, refuse_every: int = 0, core: int | None = OTHERS
) -> Iterator[tuple[int, int]]:
    """A subscriber: its port and its pid."""
    port = free_port()
    words = ["sink", str(port), "--refuse-every", str(refuse_every)]
    if certificates:
        words += ["--certificate", str(certificates.certificate), str(certificates.key)]
    with spawned(core, *module("tests.bench.load", *words)) as process:
        listening(port, process)
        yield port, process.pid


def arrived(port: int, count: int, certificates: Certificates | None = None) -> None:
    """Returns once the subscriber has accepted so many. Raises `SystemExit` when that takes too long.

    The gateway could tell, too, but its status costs milliseconds for a thousand triggers, and they would be counted.
    """
    context = ssl.create_default_context(cafile=certificates.ca) if certificates else None
    url = f"{'https' if certificates else 'http'}://127.0.0.1:{port}/"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with urllib.request.urlopen(url, timeout=30, context=context) as response:
            if int(response.read()) >= count:
                return
        time.sleep(0.02)
    raise SystemExit("the gateway did not deliver what it had accepted")


@dataclass(frozen=True)
class Answered:
    """What a producer says of its events."""

    accepted: int
    refused: int
    seconds: float
    cpu: float


def load(
    port: int,
    request: bytes,
    seconds: float,
    certificates: Certificates | None = None,
    core: int | None = OTHERS,
    connections: int = CONNECTIONS,
) -> Answered:
    """Send all that is taken for so long."""
    with producing(port, request, seconds, certificates, core, connections) as process:
        return answered(process)


@contextlib.contextmanager
def producing(
    port: int,
    request: bytes,
    seconds: float,
    certificates: Certificates | None = None,
    core: int | None = OTHERS,
    connections: int = CONNECTIONS,
) -> Iterator[subprocess.Popen[bytes]]:
    """A producer that has begun."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(request)
        file.flush()
        words = ["client", str(port), str(seconds), file.name]
        words += ["--connections", str(connections)]
        words += ["--ca", str(certificates.ca)] if certificates else []
        command = [*pinned(core), *module("tests.bench.load", *words)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()


def answered(process: subprocess.Popen[bytes]) -> Answered:
    """What became of it, once it has ended. Raises `subprocess.TimeoutExpired` when it hangs."""
    output, _ = process.communicate(timeout=PATIENCE)
    if process.returncode:
        raise SystemExit(f"the producer ended with {process.returncode}")
    return Answered(**json.loads(output))


# ── the gateway ──────────────────────────────────────────────────────────────────────────────────


def documents(
    triggers: int,
    subscriber: int,
    backing: Backing,
    *,
    certificates: Certificates | None = None,
    delivery: str = "",
) -> str:
    """A broker and many triggers of which one matches; `delivery` is of each Trigger, as YAML."""
    broker = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: orders, namespace: shop}\n"
    found = [f"{broker}spec: {{{ON_MAIN}}}\n"]
    to = f'uri: "http://127.0.0.1:{subscriber}/"'
    if certificates:
        to = f'uri: "https://127.0.0.1:{subscriber}/", CACerts: {json.dumps(certificates.ca.read_text())}'
        found.append(
            "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: bench}\nspec: {ingress: {tls: "
            f"{{certificate: {certificates.certificate}, key: {certificates.key}}}}}}}\n"
        )
    for number in range(triggers):
        wanted = "com.example.order.created" if number == 0 else f"com.example.other.t{number}"
        found.append(
            "apiVersion: eventing.knative.dev/v1\nkind: Trigger\n"
            f"metadata: {{name: t{number}, namespace: shop}}\n"
            f"spec: {{broker: orders, filters: [{{exact: {{type: {wanted}}}}}], subscriber: {{{to}}}{delivery}}}\n"
        )
    return "---\n".join(found) + backing.document(f"bench{uuid.uuid4().hex[:8]}")


class Gateway:
    """`mesh-gateway run`, with these documents, until the block ends; ready when the block begins."""

    def __init__(self, text: str, *words: str, core: int | None = UNDER_TEST) -> None:
        """`words`: more options of `run`."""
        self._text, self._words, self._core = text, words, core
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            file = Path(directory) / "mesh.yaml"
            file.write_text(self._text)
            self.ingress, self._admin = free_port(), free_port()
            words = ["run", "-f", str(file), "--state", f"{directory}/state", "--log-level", "error"]
            words += ["--ingress", f"127.0.0.1:{self.ingress}", "--admin", f"127.0.0.1:{self._admin}"]
            began = time.monotonic()
            self.process = stack.enter_context(
                spawned(self._core, *module("mesh_gateway", *words, *self._words))
            )
            self._wait_until_ready()
            self.start_seconds = time.monotonic() - began
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str) -> bytes:
        """Of the admin API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}{path}", timeout=30) as response:
            found: bytes = response.read()
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/api/v1/status"))
        return found

    def resident(self) -> float:
        """MB of memory that it has."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024

    def _wait_until_ready(self) -> None:
        while self.process.poll() is None:
            try:
                self.get("/readyz")
            except (OSError, urllib.error.HTTPError):
                time.sleep(0.005)
            else:
                return
        raise SystemExit(f"the gateway ended with {self.process.returncode}")


# ── real servers ─────────────────────────────────────────────────────────────────────────────────


@functools.cache
def server_pid(kind: str) -> int | None:
    """Of the server that `scripts/services` has started itself; None for one in a container or elsewhere."""
    said = subprocess.run(
        [sys.executable, SERVICES, "status"], capture_output=True, text=True, check=False
    ).stdout
    found = [line.split()[-1] for line in said.splitlines() if line.startswith(f"{kind} ") and "pid" in line]
    return int(found[0]) if found else None


def servers(backing: Backing) -> Sequence[int]:
    """Its pid, if it is known."""
    pid = server_pid(backing.kind) if backing.server else None
    return [] if pid is None else [pid]


def server_cpu(backing: Backing) -> float | None:
    """CPU seconds of its server so far, if it is known."""
    return next((noise.cpu(pid) for pid in servers(backing)), None)


def no_server(backing: Backing) -> str:
    """Why there is none, and what to do."""
    return f"no server, scripts/services up {backing.kind}"
