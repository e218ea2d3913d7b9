"""Nothing is ever connected to that must not be: in no spelling, behind no name, at no later look."""

from __future__ import annotations

import ast
import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import mesh_gateway
from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.resolve import TTL_SECONDS
from mesh_gateway.delivery.sink import Outcome, Refused, Retry
from mesh_gateway.federation.remote import Remote
from mesh_gateway.federation.target import Unreached
from mesh_gateway.topology.destinations import Addresses, Unresolvable
from tests.delivery.spellings import HOSTS, RESOLVED
from tests.delivery.test_http import Server, deliver, serving, sink_to
from tests.faults.figures import counts

PUBLIC = "198.51.100.7"


class Net:
    """A loop's network: what names resolve to, and which addresses were connected to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connects: list[str] = []
        self.answers: Sequence[str] | None = None
        """What every name resolves to; None asks the system, which reads addresses in all spellings."""
        self.skipped = 0.0
        loop = asyncio.get_running_loop()
        ask = loop.getaddrinfo
        time = loop.time
        monkeypatch.setattr(loop, "time", lambda: time() + self.skipped)

        async def getaddrinfo(host: str, port: int, **how: Any) -> list[Any]:
            if self.answers is None:
                return await ask(host, port, **how, flags=socket.AI_NUMERICHOST)
            return [(0, 0, 0, "", (address, port)) for address in self.answers]

        async def create_connection(make: Any, host: str, port: int, **how: Any) -> Any:
            self.connects.append(host)
            raise ConnectionRefusedError

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(loop, "create_connection", create_connection)


@pytest.fixture
async def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    return Net(monkeypatch)


async def outcome(url: str) -> Outcome:
    sink = HttpSink(HttpSettings(url, timeout=5))
    try:
        return await deliver(sink)
    finally:
        await sink.close()


async def met(url: str) -> str:
    remote = Remote(HttpSettings(url, timeout=5), gzip=False)
    try:
        await remote.meet()
    except Unreached as error:
        return str(error)
    finally:
        await remote.close()
    return "met"


def test_there_are_enough_spellings() -> None:
    counts(16, spellings_in_URLs=len(HOSTS), answers_of_DNS=len(RESOLVED))
    assert len(HOSTS) + len(RESOLVED) >= 300


async def test_no_spelling_in_a_url_is_connected_to(net: Net) -> None:
    for host in HOSTS:
        found = await outcome(f"http://{host}:80/latest/meta-data/")
        assert isinstance(found, Refused), host
        assert found.why.startswith("address not allowed"), host
        assert "address not allowed" in await met(f"http://{host}/ns/b"), host
    assert net.connects == []


async def test_no_answer_of_a_resolver_is_connected_to(net: Net) -> None:
    for address in RESOLVED:
        net.answers = [address]
        found = await outcome("http://innocent.example/")
        assert isinstance(found, Refused), address
        assert "address not allowed" in await met("http://innocent.example/ns/b"), address
    assert net.connects == []


async def test_of_several_answers_only_the_allowed_are_connected_to(net: Net) -> None:
    for address in RESOLVED:
        net.answers = [address, PUBLIC, address]
        assert await outcome("http://innocent.example/") == Retry("connection refused")
    assert set(net.connects) == {PUBLIC}


async def test_a_name_that_is_moved_is_looked_at_again_before_the_next_connection(net: Net) -> None:
    """DNS rebinding: a public answer for the check, another for the connection."""
    sink = HttpSink(HttpSettings("http://innocent.example/", timeout=5))
    for address in RESOLVED:
        net.answers = [PUBLIC]
        net.skipped += TTL_SECONDS + 1
        assert await deliver(sink) == Retry("connection refused")
        net.answers = [address]
        assert await deliver(sink) == Retry("connection refused")  # what was checked is what is connected to
        net.skipped += TTL_SECONDS + 1
        assert isinstance(await deliver(sink), Refused)
    await sink.close()

    assert set(net.connects) == {PUBLIC}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_to_an_address_that_is_not_allowed(status: int) -> None:
    async def answer(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        location = b"http://127.0.0.1:%d/latest/meta-data/" % server.port
        writer.write(b"HTTP/1.1 %d X\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % (status, location))
        await reader.read()

    async with serving(answer) as server, sink_to(server) as sink:
        assert await deliver(sink) == Refused(f"status {status}", status)

    assert server.connections == 1
    assert len(server.heads) == 1


def test_documents_that_name_such_an_address_are_refused_where_it_can_be_seen() -> None:
    addresses = Addresses(brokers=(), endpoints={})
    passed = []
    for host in HOSTS:
        try:
            addresses.check(f"http://{host}/")
        except Unresolvable:
            continue
        passed.append(host)
    assert passed == []


# ── the real thing ───────────────────────────────────────────────────────────────────────────

CANARY = Path(__file__).with_name("canary.py")
NETWORK = "ip link set lo up && ip addr add 169.254.169.254/32 dev lo && exec {python} {canary}"


def test_a_canary_that_listens_on_such_addresses_hears_nothing() -> None:
    """In a network of its own the metadata address is this machine, and whoever connects to it is heard."""
    inside = NETWORK.format(python=sys.executable, canary=CANARY)
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", inside]
    try:
        probe = subprocess.run([*command[:-1], "ip link set lo up"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if probe.returncode:
        pytest.skip(f"no network of one's own here: {probe.stderr.decode().strip()}")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])

    assert ran.returncode == 0, ran.stderr[-2_000:]
    heard = dict(line.split(": ") for line in ran.stdout.splitlines())
    assert heard["without the guard"] == "1"  # else it is deaf
    assert heard["with it"] == "0"
    assert int(heard["tries"]) >= 300


# ── nothing connects by another way ──────────────────────────────────────────────────────────

OUTWARD = {
    "create_connection", "open_connection", "create_unix_connection", "create_datagram_endpoint", "sock_connect", "urlopen",
    "HTTPConnection", "HTTPSConnection",
}  # fmt: skip
ALLOWED = {
    "delivery/opening.py", "cli/http.py", "cli/send.py", "testing/proxy.py", "testing/probe/http.py", "testing/probe/gateway.py",
}  # fmt: skip
"""The pool's opener, which asks the guard; the commands, which go where their user says; the tools of tests."""


def test_only_the_guarded_pool_opens_connections_for_the_gateway() -> None:
    home = Path(mesh_gateway.__file__).parent
    found = set()
    for file in home.rglob("*.py"):
        names = {
            getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(ast.parse(file.read_text()))
        }
        if names & OUTWARD:
            found.add(str(file.relative_to(home)))

    assert found <= ALLOWED
    assert "delivery/opening.py" in found
