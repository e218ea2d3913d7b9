"""Who may relay into which broker: over a socket, into real brokers on the embedded store."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from mesh_gateway.delivery.http import HttpSettings
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import ConnectionLost
from mesh_gateway.event import Event
from mesh_gateway.federation import encoding
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.remote import Remote
from mesh_gateway.federation.terms import Terms, read_terms
from mesh_gateway.federation.transfer import ACCEPTED, DUPLICATE, Lane, Numbered, Offer, Transfer
from mesh_gateway.gateway import doors
from mesh_gateway.gateway.assembly import assemble
from mesh_gateway.gateway.ingress import server_context, wire_limits
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.parts import BrokerParts, Surroundings
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener
from mesh_gateway.topology.spec import (
    BrokerSpec,
    GatewaySpec,
    IngressSpec,
    PeerSpec,
    Secret,
    TLSServerSpec,
    TransportSpec,
)
from mesh_gateway.transport.contract import EARLIEST, Measurable
from mesh_gateway.transport.plugins import load_plugins
from tests.ingress.serving import (
    PATIENCE,
    Client,
    Reply,
    event,
    head,
    structured,
    until,
)

pytestmark = pytest.mark.anyio

EU = PeerSpec("eu", Secret("token-of-eu"), brokers=("shop/orders",), types=("order.",))
AP = PeerSpec("ap", Secret("token-of-ap"))
AS_EU, AS_AP, AS_NOBODY = (
    f"authorization: Bearer {token}" for token in ("token-of-eu", "token-of-ap", "token-of-nobody")
)


@dataclass
class Gateway:
    """What a test holds."""

    mesh: Mesh
    listener: Listener
    port: int

    @property
    def endpoint(self) -> Endpoint:
        return self.listener.endpoint

    @property
    def counters(self) -> IngressCounters:
        return self.endpoint.counters

    def home(self, key: str = "shop/orders") -> BrokerParts:
        return self.mesh.parts.brokers[key]

    async def stored(self, key: str = "shop/orders") -> list[Event]:
        """Everything in the broker's log."""
        transport, name = self.home(key).link.transport, self.home(key).broker.channel.name
        assert isinstance(transport, Measurable)
        if (await transport.backlog(name, "looker")).events == 0:
            return []
        subscription = await self.home(key).broker.channel.subscribe("looker", EARLIEST)
        try:
            return [delivery.event for delivery in await subscription.receive(1_000)]
        finally:
            await subscription.close()

    async def ask(self, *parts: bytes, tls: ssl.SSLContext | None = None) -> Reply:
        """One request on a connection of its own."""
        async with self.client(tls) as client:
            return await client.ask(*parts)

    @asynccontextmanager
    async def client(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname="localhost" if tls else None
        )
        client = Client(reader, writer)
        try:
            yield client
        finally:
            await client.leave()


@asynccontextmanager
async def gateway(
    *peers: PeerSpec, limits: IngressLimits | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Gateway]:
    """The cluster us with the brokers shop/orders and shop/other, listening."""
    ingress = IngressSpec()
    spec = GatewaySpec(
        cluster="us",
        state_directory=None,
        drain_timeout=2,
        transports={"t": TransportSpec("t", "embedded")},
        brokers={f"shop/{name}": BrokerSpec("shop", name, "t") for name in ("orders", "other")},
        peers=peers,
    )
    around = Surroundings(
        plugins=load_plugins([]),
        clock=asyncio.get_running_loop(),
        watches=Watches(),
        ingress_url=lambda key: f"http://us.test/{key}",
        on_unreadable=lambda channel, why: None,
        on_fatal=lambda why: None,
    )
    mesh = Mesh(assemble(spec, around), grace=2)
    homes = mesh.parts.brokers
    endpoint = Endpoint(
        {key: home.broker for key, home in homes.items()},
        limits or IngressLimits(),
        IngressCounters(),
        lambda: True,
        peers=doors.peers(spec.peers),
        doors={
            key: doors.Door(home.receiver, wire_limits(ingress), offers=doors.several_ways(key, spec))
            for key, home in homes.items()
            if home.receiver is not None
        },
    )
    listener = Listener(endpoint)
    task = asyncio.ensure_future(mesh.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await mesh.up()
        # A group that reads from the start, to look with; made before anything comes.
        for home in homes.values():
            await (await home.broker.channel.subscribe("looker", EARLIEST)).close()
        yield Gateway(mesh, listener, await listener.open("127.0.0.1", 0, tls=tls))
    finally:
        await listener.close()
        mesh.stop()
        async with asyncio.timeout(PATIENCE):
            await task


def options(*lines: str, path: str = "/shop/orders", asks: bool = True) -> bytes:
    return head(*(["mesh-transfer: 1"] if asks else []), *lines, method="OPTIONS", path=path)


def transfer(*ids: str, lines: Sequence[str] = (), path: str = "/shop/orders", **attributes: str) -> bytes:
    """A whole request with a transfer of these events."""
    type = attributes.pop("type", "order.created")
    events = [Event.new(type=type, source="/s", id=id, data=b"{}", **attributes) for id in ids]
    lane = Lane("", "shop/to-us", "1")
    written, body = encoding.encode(
        Transfer(lane, 0, tuple(Numbered(n, e) for n, e in enumerate(events, 1))), gzip=False
    )
    first = head(*lines, path=path)
    return first[:-2] + written + b"\r\n" + body


def offer(*ids: str, lines: Sequence[str] = ()) -> bytes:
    """A whole request that offers these events."""
    events = [Event.new(type="order.created", source="/s", id=id) for id in ids]
    written, body = encoding.encode_offer(
        Offer(Lane("", "shop/to-us", "1"), tuple(identity(event) for event in events))
    )
    return head(*lines, path="/shop/orders")[:-2] + written + b"\r\n" + body


def single(id: str, lines: Sequence[str] = (), path: str = "/shop/orders") -> bytes:
    """A whole request with one event."""
    return event(id, b"{}", *lines, path=path)


def verdicts(reply: Reply) -> list[object]:
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    told: list[object] = json.loads(reply.body)["verdicts"]
    return told


def wanted(reply: Reply) -> str:
    assert reply.status == 200
    said: str = json.loads(reply.body)["wanted"]
    return said


# ── transfers ────────────────────────────────────────────────────────────────────────────────


async def test_a_peer_gets_a_verdict_for_each_event_once_all_are_stored():
    async with gateway(EU, AP) as here:
        assert verdicts(await here.ask(transfer("1", "2", lines=[AS_EU]))) == ["accepted", "accepted"]
        assert verdicts(await here.ask(transfer("1", "2", "3", lines=[AS_EU]))) == [
            "duplicate", "duplicate", "accepted",
        ]  # fmt: skip

        assert [event.id for event in await here.stored()] == ["1", "2", "3"]
        receiver = here.home().receiver
        assert receiver is not None
        assert receiver.verdicts == {("eu", "accepted"): 3, ("eu", "duplicate"): 2}


async def test_the_cluster_is_the_credentials_and_its_numbers_are_nobody_elses():
    async with gateway(EU, AP) as here:
        await here.ask(transfer("1", lines=[AS_EU]))

        assert verdicts(await here.ask(transfer("other", lines=[AS_AP]))) == ["accepted"]


async def test_types_that_a_peer_may_not_send_and_loops_are_judged_singly():
    async with gateway(EU, AP) as here:
        assert verdicts(await here.ask(transfer("1", type="audit.read", lines=[AS_EU]))) == [
            {"refused": "events of type 'audit.read' may not be sent here"}
        ]
        assert verdicts(await here.ask(transfer("2", meshvia="us/shop/orders", lines=[AS_EU]))) == ["looped"]
        assert verdicts(await here.ask(transfer("1", type="audit.read", lines=[AS_AP]))) == ["accepted"]

        assert [event.type for event in await here.stored()] == ["audit.read"]


@pytest.mark.parametrize("request_of", [transfer, single])
async def test_who_shows_a_token_that_nobody_has_is_401_and_nothing_is_stored(request_of):
    async with gateway(EU) as here:
        for line in (AS_NOBODY, "authorization: Basic dG9rZW4=", "authorization: Bearer", "authorization: "):
            reply = await here.ask(request_of("1", lines=[line]))
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert "Gateway.spec.peers" in reply.detail

        assert await here.stored() == []
        assert here.counters.refused == {"credential": 4}


@pytest.mark.parametrize("request_of", [transfer, single])
async def test_a_peer_at_a_broker_that_is_not_for_it_is_403_and_nothing_is_stored(request_of):
    async with gateway(EU, AP) as here:
        reply = await here.ask(request_of("1", lines=[AS_EU], path="/shop/other"))

        assert (reply.status, reply.detail) == (403, "the peer eu may not send to the broker shop/other")
        assert await here.stored("shop/other") == []
        assert (await here.ask(request_of("1", lines=[AS_AP], path="/shop/other"))).status in (200, 202)


async def test_a_transfer_without_a_credential_is_401_and_nothing_is_stored():
    for peers in ((), (EU,)):
        async with gateway(*peers) as here:
            reply = await here.ask(transfer("1"))

            assert reply.status == 401
            assert "needs the credential of a peer" in reply.detail
            assert await here.stored() == []


async def test_where_there_are_no_peers_authorization_means_nothing():
    async with gateway() as here:
        assert (await here.ask(event("1", b"{}", AS_NOBODY))).status == 202
        assert (await here.ask(transfer("2", lines=[AS_EU]))).status == 401

        assert [event.id for event in await here.stored()] == ["1"]


@pytest.mark.parametrize(
    "twice", ["authorization: Bearer a", "mesh-transfer: 1", "mesh-floor: 1", "mesh-numbers: 1"]
)
async def test_headers_of_a_transfer_stand_once(twice: str):
    async with gateway(EU) as here:
        reply = await here.ask(head(twice, twice, "content-length: 0"))

        assert reply.status == 400
        assert twice.partition(":")[0] in reply.detail


async def test_a_transfer_that_is_none_is_400_and_nothing_is_stored():
    async with gateway(EU) as here:
        reply = await here.ask(
            head(
                "mesh-transfer: 1",
                AS_EU,
                "content-type: application/cloudevents-batch+json",
                "content-length: 2",
            ),
            b"[]",
        )

        assert (reply.status, reply.detail) == (400, "mesh-relay: must be 1 to 160 ASCII characters")
        assert here.endpoint.in_hand.requests == here.endpoint.in_hand.bytes == 0


async def test_of_two_peers_that_offer_an_event_one_is_asked_to_send_it():
    async with gateway(EU, AP) as here:
        assert wanted(await here.ask(offer("1", "2", lines=[AS_EU]))) == "1-2"
        assert verdicts(await here.ask(transfer("1", "2", lines=[AS_EU]))) == ["accepted", "accepted"]

        assert wanted(await here.ask(offer("1", "2", "3", lines=[AS_AP]))) == "3"
        receiver = here.home().receiver
        assert receiver is not None
        assert receiver.verdicts == {("eu", "accepted"): 2, ("ap", "unwanted"): 2}


async def test_an_offer_needs_the_credential_and_the_form_of_one():
    async with gateway(EU, AP) as here:
        assert (await here.ask(offer("1"))).status == 401
        torn = offer("1", lines=[AS_EU]).replace(b"content-length: 16", b"content-length: 15")[:-1]
        assert (await here.ask(torn)).detail == "an offer has 16 bytes of each event; this one is torn"


# ── asking beforehand ────────────────────────────────────────────────────────────────────────


async def test_a_peer_that_asks_is_told_the_terms_and_the_place():
    async with gateway(EU) as here:
        reply = await here.ask(options(AS_EU))

        said = {name.encode(): value.encode() for name, value in reply.headers.items()}
        assert read_terms(said) == Terms("us/shop/orders", 1_000, 10_485_760)
        assert reply.headers["webhook-allowed-origin"] == "*"


async def test_where_several_peers_may_send_they_are_asked_to_offer_first():
    async with gateway(EU, AP) as here:
        said = (await here.ask(options(AS_EU))).headers["mesh-transfer"]

        assert said == "1; events=1000; bytes=10485760; gzip; offers"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (options(asks=False), 200),
        (options(AS_EU, asks=False), 200),
        (options(AS_NOBODY, asks=False), 200),
        (options(), 200),
        (options(AS_NOBODY), 401),
        (options(AS_EU, path="/shop/other"), 403),
    ],
)
async def test_whoever_else_asks_is_told_nothing_of_transfers(request_bytes: bytes, status: int):
    async with gateway(EU) as here:
        reply = await here.ask(request_bytes)

        assert reply.status == status
        assert "mesh-transfer" not in reply.headers


async def test_who_asks_for_a_broker_that_is_not_here_learns_that_a_gateway_is():
    async with gateway(EU) as here:
        reply = await here.ask(options(AS_EU, path="/shop/nowhere"))

        assert (reply.status, reply.headers["mesh-transfer"]) == (404, "1")


# ── single events ────────────────────────────────────────────────────────────────────────────


async def test_marks_of_the_way_are_taken_from_producers_and_believed_of_peers():
    marks = ["ce-meshvia: ap/shop/orders", "ce-meshhops: 3", "ce-meshdue: now", "ce-meshretried: x"]
    async with gateway(EU) as here:
        assert (await here.ask(event("1", b"{}", *marks))).status == 202
        assert (await here.ask(event("2", b"{}", *marks, AS_EU))).status == 202

        produced, relayed = await here.stored()
        assert not [name for name in produced.attributes if name.startswith("mesh")]
        assert {name: value for name, value in relayed.attributes.items() if name.startswith("mesh")} == {
            "meshvia": "ap/shop/orders", "meshhops": "3",
        }  # fmt: skip
        assert here.home().broker.counters.stripped == 1


async def test_a_peers_event_that_was_here_is_taken_dropped_and_counted():
    async with gateway(EU) as here:
        reply = await here.ask(event("1", b"{}", "ce-meshvia: us/shop/orders", AS_EU))

        assert reply.status == 202
        assert await here.stored() == []
        receiver = here.home().receiver
        assert receiver is not None
        assert receiver.verdicts["eu", "looped"] == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ce-meshhops: 17", "the limit is 16"),
        ("ce-meshhops: many", "decimal number"),
        ("ce-knativebrokerttl: 1", "passed its last broker"),
    ],
)
async def test_a_peers_event_with_nothing_left_to_go_is_400_and_nothing_is_stored(line: str, why: str):
    async with gateway(EU) as here:
        reply = await here.ask(event("1", b"{}", line, AS_EU))

        assert reply.status == 400
        assert why in reply.detail
        assert await here.stored() == []


async def test_of_a_peers_batch_none_is_stored_when_one_may_not_come():
    async with gateway(EU) as here:
        batch = structured("1", "2", batch=True).replace(b"\r\n\r\n", f"\r\n{AS_EU}\r\n\r\n".encode(), 1)
        reply = await here.ask(batch)

        assert (reply.status, reply.detail) == (400, "events of type 't' may not be sent here")
        assert await here.stored() == []


# ── what stands in the way of storing ────────────────────────────────────────────────────────


async def test_while_the_transport_is_down_a_transfer_is_503_and_comes_again():
    async with gateway(EU) as here:
        channel = here.home().broker.channel
        channel.refuse(ConnectionLost("away"))
        reply = await here.ask(transfer("1", lines=[AS_EU]))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")

        channel.serve()
        assert verdicts(await here.ask(transfer("1", lines=[AS_EU]))) == ["accepted"]


async def test_while_it_drains_a_transfer_is_503_and_while_it_is_full_429():
    async with gateway(EU, limits=IngressLimits(max_requests=0)) as here:
        assert (await here.ask(transfer("1", lines=[AS_EU]))).status == 429
        here.endpoint.draining = True
        reply = await here.ask(transfer("1", lines=[AS_EU]))

        assert (reply.status, reply.closes) == (503, True)
        assert await here.stored() == []


async def test_verdicts_that_come_too_late_go_to_nobody_and_the_transfer_may_come_again(
    monkeypatch: pytest.MonkeyPatch,
):
    async with gateway(EU) as here, here.client() as client:
        receiver = here.home().receiver
        assert receiver is not None
        storing, store = asyncio.Event(), receiver._store

        async def slow(taken, offers):
            await storing.wait()
            return await store(taken, offers)

        monkeypatch.setattr(receiver, "_store", slow)
        client.send(transfer("1", lines=[AS_EU]))
        await until(lambda: here.endpoint.in_hand.requests == 1)
        here.listener.sweep(asyncio.get_running_loop().time() + 6)
        late = await client.reply()
        assert late.status == 503
        assert "may be stored, send it again" in late.detail

        storing.set()
        assert verdicts(await client.ask(transfer("1", lines=[AS_EU]))) == ["duplicate"]
        assert here.counters.late == 1
        assert here.endpoint.in_hand.requests == here.endpoint.in_hand.bytes == 0
        assert len(await here.stored()) == 1


# ── certificates ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """As a Gateway document makes it, with `clientCaCerts`."""
    directory: Path = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(directory / "cert.pem", append=True)
    return server_context(
        TLSServerSpec(
            directory / "cert.pem",
            directory / "key.pem",
            client_authorities=authority.cert_pem.bytes().decode(),
        )
    )


def showing(authority: trustme.CA, name: str | None, issuer: trustme.CA | None = None) -> ssl.SSLContext:
    """A client that trusts the authority, and shows a certificate with this name."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name is not None:
        (issuer or authority).issue_cert(name).configure_cert(context)
    return context


NAMED = PeerSpec("eu", san="mesh.eu.example", brokers=("shop/orders",))


async def test_a_name_in_a_certificate_is_a_credential(authority: trustme.CA, server: ssl.SSLContext):
    async with gateway(NAMED, tls=server) as here:
        tls = showing(authority, "mesh.eu.example")
        assert verdicts(await here.ask(transfer("1"), tls=tls)) == ["accepted"]
        assert "mesh-place" in (await here.ask(options(), tls=tls)).headers
        assert (await here.ask(transfer("2", path="/shop/other"), tls=tls)).status == 403

        [stored] = await here.stored()
        assert stored.id == "1"


async def test_the_sending_side_meets_and_sends_with_its_certificate(
    authority: trustme.CA, server: ssl.SSLContext, tmp_path: Path
):
    issued = authority.issue_cert("mesh.eu.example")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    async with gateway(NAMED, tls=server) as here:
        settings = HttpSettings(
            f"https://localhost:{here.port}/shop/orders",
            ca_certificates=authority.cert_pem.bytes().decode(),
            client_certificate=(tmp_path / "cert.pem", tmp_path / "key.pem"),
        )
        remote = Remote(settings, gzip=True)
        met = await remote.meet()
        events = [Event.new(type="t", source="/s", id=str(n), data=b"\x00" * 500) for n in range(100)]
        sent = Transfer(
            Lane("", "shop/to-us", "1"), 0, tuple(Numbered(n + 1, e) for n, e in enumerate(events))
        )
        first, again = await remote.send(sent), await remote.send(sent)
        await remote.close()

        assert (met.mode, met.place) == ("batches", "us/shop/orders")
        assert (list(first), list(again)) == ([ACCEPTED] * 100, [DUPLICATE] * 100)
        assert [stored.data for stored in await here.stored()] == [event.data for event in events]


async def test_a_name_that_nobody_has_is_403_and_nothing_is_stored(
    authority: trustme.CA, server: ssl.SSLContext
):
    async with gateway(NAMED, tls=server) as here:
        tls = showing(authority, "mesh.xx.example")
        for request in (transfer("1"), event("1"), options()):
            reply = await here.ask(request, tls=tls)
            assert reply.status == 403
            assert "the name in this certificate" in reply.detail

        assert await here.stored() == []


async def test_a_certificate_of_another_authority_reaches_no_broker(
    authority: trustme.CA, server: ssl.SSLContext
):
    async with gateway(NAMED, tls=server) as here:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await here.ask(event("1"), tls=showing(authority, "mesh.eu.example", trustme.CA()))

        assert await here.stored() == []


async def test_a_producer_needs_no_certificate_and_is_no_peer_without_one(
    authority: trustme.CA, server: ssl.SSLContext
):
    async with gateway(NAMED, tls=server) as here:
        tls = showing(authority, None)
        assert (await here.ask(transfer("1"), tls=tls)).status == 401
        assert (await here.ask(event("2", b"{}", "ce-meshvia: eu/shop/orders"), tls=tls)).status == 202

        [stored] = await here.stored()
        assert "meshvia" not in stored.attributes


async def test_a_token_over_a_connection_with_a_strange_certificate_is_a_peer_all_the_same(
    authority: trustme.CA, server: ssl.SSLContext
):
    async with gateway(NAMED, AP, tls=server) as here:
        tls = showing(authority, "mesh.xx.example")

        assert verdicts(await here.ask(transfer("1", lines=[AS_AP]), tls=tls)) == ["accepted"]
