"""What is behind a URL, over real sockets: a gateway, any CloudEvents endpoint, or trouble."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trustme

from mesh_gateway.delivery.http import HttpSettings
from mesh_gateway.event import Event
from mesh_gateway.federation import answers, encoding
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.remote import ANSWER_BYTES, SINGLES, Remote
from mesh_gateway.federation.target import Manner, NotTaken, Unreached
from mesh_gateway.federation.terms import Terms, terms_headers
from mesh_gateway.federation.transfer import (
    ACCEPTED,
    DUPLICATE,
    UNWANTED,
    Lane,
    Numbered,
    Transfer,
    Verdict,
    Word,
)
from mesh_gateway.ingress.responses import CONSENT, Answer, render
from mesh_gateway.wire import http
from tests.delivery.test_tls import serving as serving_tls

pytestmark = pytest.mark.anyio

PATIENCE = 10.0

TERMS = terms_headers(Terms("us/shop/orders", 100, 5_000))
GATEWAY = Answer(200, headers=(*CONSENT, *TERMS))


@dataclass
class Request:
    method: str
    headers: dict[bytes, bytes]
    body: bytes


Reaction = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes | None]]


@dataclass
class Server:
    """Answers each method as the test says: bytes, an answer, or a coroutine that sees the connection."""

    answers: dict[str, bytes | Answer | Reaction | list[Answer]]
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
                fields = {name.lower(): value for name, _, value in (x.partition(b": ") for x in lines)}
                body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
                request = Request(first.split(b" ")[0].decode(), fields, body)
                self.requests.append(request)
                answer = self.answers[request.method]
                if isinstance(answer, list):
                    answer = answer.pop(0)
                if isinstance(answer, Answer):
                    answer = render(answer, close=False)
                elif not isinstance(answer, bytes):
                    answer = await answer(request, reader, writer) or b""
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    @property
    def posted(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]


@asynccontextmanager
async def meeting(
    options: bytes | Answer | Reaction = GATEWAY,
    post: bytes | Answer | Reaction | list[Answer] = Answer(202),
    *,
    gzip: bool = False,
    **settings,
):
    """A server that answers so, and a `Remote` towards it."""
    server = Server({"OPTIONS": options, "POST": post})
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**22)
    server.port = listening.sockets[0].getsockname()[1]
    remote = Remote(
        HttpSettings(f"http://127.0.0.1:{server.port}/shop/orders", replies=False, **settings), gzip=gzip
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield server, remote
    finally:
        await remote.close()
        listening.close()
        await listening.wait_closed()


async def hang(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def close(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def transfer(count: int = 2) -> Transfer:
    events = [Event.new(type="t", source="/s", id=str(n), data=b"{}") for n in range(1, count + 1)]
    return Transfer(Lane("eu", "shop/to-us", "1"), 0, tuple(Numbered(n, e) for n, e in enumerate(events, 1)))


def verdicts(*given: Verdict | None) -> Answer:
    return Answer(200, content=answers.encode_verdicts(given))


async def unreached(asking: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(Unreached) as caught:
        await asking
    return caught.value.reason, str(caught.value)


# ── who is there ─────────────────────────────────────────────────────────────────────────────


async def test_a_gateway_says_what_it_takes_and_where_it_keeps_it():
    async with meeting(bearer="secret") as (server, remote):
        assert await remote.meet() == Manner("batches", "us/shop/orders", 100, 5_000)

    [asked] = server.requests
    assert asked.method == "OPTIONS"
    assert asked.headers[b"mesh-transfer"] == b"1"
    assert asked.headers[b"authorization"] == b"Bearer secret"


@pytest.mark.parametrize(
    "answer",
    [Answer(200), Answer(200, headers=CONSENT), Answer(204), Answer(400), Answer(404), Answer(405), Answer(500),
     Answer(501), Answer(200, headers=(("mesh-transfer", "2; events=1; bytes=1"), ("mesh-place", "a/b/c")))],
)  # fmt: skip
async def test_whoever_says_nothing_of_transfers_gets_events_one_by_one(answer: Answer):
    async with meeting(answer) as (_, remote):
        assert await remote.meet() == Manner("singles", most_events=SINGLES)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(401, detail="unknown token"), "unauthorized"),
        (Answer(403, detail="not into this broker"), "forbidden"),
        (Answer(404, detail="no such broker", headers=(("mesh-transfer", "1"),)), "not found"),
        (Answer(408), "bad answer"),
        (Answer(429), "busy"),
        (Answer(502), "unavailable"),
        (Answer(503), "unavailable"),
        (Answer(504), "unavailable"),
    ],
)
async def test_an_answer_that_does_not_say_who_is_there_is_none(answer: Answer, reason: str):
    async with meeting(answer) as (_, remote):
        told, why = await unreached(remote.meet())

    assert told == reason
    assert why.startswith(f"status {answer.status}")
    assert answer.detail in why


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "bad answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000, "bad answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 40_000, "bad answer"),
        (close, "unreachable"),
    ],
)
async def test_garbage_is_no_meeting(answer: bytes | Reaction, reason: str):
    async with meeting(answer) as (_, remote):
        assert (await unreached(remote.meet()))[0] == reason


async def test_a_server_that_hangs_is_given_up_in_time():
    async with meeting(hang, timeout=0.05) as (_, remote):
        assert await unreached(remote.meet()) == ("timeout", "timeout")


async def test_nobody_there_is_unreachable():
    async with meeting() as (server, _):
        pass
    remote = Remote(HttpSettings(f"http://127.0.0.1:{server.port}/"), gzip=False)

    assert await unreached(remote.meet()) == ("unreachable", "connection refused")
    await remote.close()


async def test_a_certificate_that_is_not_trusted_is_a_fault_of_tls():
    async with serving_tls(trustme.CA(), "127.0.0.1") as port:
        remote = Remote(HttpSettings(f"https://127.0.0.1:{port}/"), gzip=False)

        assert (await unreached(remote.meet()))[0] == "tls"
        await remote.close()


async def test_a_gateway_that_has_gone_is_met_anew_as_what_is_there_now():
    answers = [GATEWAY, Answer(405)]

    async def changing(request, reader, writer) -> bytes:
        return render(answers.pop(0), close=False)

    async with meeting(changing) as (server, remote):
        assert (await remote.meet()).mode == "batches"
        assert (await remote.meet()).mode == "singles"
        await remote.send(transfer(1))

    assert server.posted[0].headers[b"ce-id"] == b"1"


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_trouble_on_the_way_does_not_make_another_of_a_gateway(status: int):
    async with meeting() as (server, remote):
        await remote.meet()
        server.answers["OPTIONS"] = Answer(status)
        assert (await unreached(remote.meet()))[0] == "unavailable"

        server.answers["OPTIONS"] = GATEWAY
        assert (await remote.meet()).mode == "batches"


# ── transfers ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gzip", [False, True])
async def test_a_transfer_is_one_request_and_its_verdicts_are_the_answer(gzip: bool):
    said = (ACCEPTED, Verdict(Word.REFUSED, "no"), DUPLICATE, None)
    async with meeting(post=verdicts(*said), gzip=gzip, bearer="secret") as (server, remote):
        await remote.meet()
        assert await remote.send(transfer(4)) == list(said)

    [request] = server.posted
    incoming = encoding.decode(request.headers, request.body, "eu", http.Limits())
    assert incoming.transfer == transfer(4)
    assert request.headers[b"authorization"] == b"Bearer secret"
    assert (b"content-encoding" in request.headers) is gzip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(401, detail="x"), "unauthorized"),
        (Answer(403, detail="x"), "forbidden"),
        (Answer(404, detail="x"), "not found"),
        (Answer(415, detail="another version"), "bad answer"),
        (Answer(429, detail="x"), "busy"),
        (Answer(500), "unavailable"),
        (Answer(503, detail="x"), "unavailable"),
        (Answer(202), "bad answer"),
        (Answer(400), "bad answer"),
        (Answer(200), "bad answer"),
        (verdicts(ACCEPTED), "bad answer"),
        (verdicts(ACCEPTED, ACCEPTED, ACCEPTED), "bad answer"),
        (Answer(200, content=b'{"verdicts": ["\xff", "accepted"]}'), "bad answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (ANSWER_BYTES + 1) + b" " * (ANSWER_BYTES + 1),
         "bad answer"),
        (b"nonsense\r\n\r\n", "bad answer"),
        (close, "unreachable"),
    ],
)  # fmt: skip
async def test_any_other_answer_to_a_transfer_says_nothing_of_its_events(
    answer: Answer | bytes | Reaction, reason: str
):
    async with meeting(post=answer) as (_, remote):
        await remote.meet()

        assert (await unreached(remote.send(transfer(2))))[0] == reason


@pytest.mark.parametrize("status", [400, 413])
async def test_a_transfer_that_a_gateway_cannot_take_may_go_in_parts(status: int):
    async with meeting(post=Answer(status, detail="the transfer has more than 5000 bytes")) as (_, remote):
        await remote.meet()
        with pytest.raises(NotTaken, match=f"status {status}: .*more than 5000 bytes"):
            await remote.send(transfer())


async def test_the_receivers_wish_to_wait_is_heard():
    async with meeting(post=Answer(503, detail="full", headers=(("retry-after", "7"),))) as (_, remote):
        await remote.meet()
        with pytest.raises(Unreached) as caught:
            await remote.send(transfer())

    assert caught.value.after == 7.0


async def test_an_answer_that_comes_too_late_is_no_answer_and_the_next_transfer_is_not_mistaken_for_it():
    async with meeting(post=hang, timeout=0.1) as (server, remote):
        await remote.meet()
        assert (await unreached(remote.send(transfer())))[0] == "timeout"

        server.answers["POST"] = verdicts(DUPLICATE, DUPLICATE)
        await remote.meet()
        assert await remote.send(transfer()) == [DUPLICATE, DUPLICATE]


async def test_a_transfer_that_is_given_up_leaves_the_next_meeting_to_be_had():
    async with meeting(post=hang, timeout=PATIENCE / 2) as (server, remote):
        await remote.meet()
        sending = asyncio.ensure_future(remote.send(transfer()))
        while not server.posted:
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

        assert (await remote.meet()).mode == "batches"


async def test_closing_ends_what_is_under_way_and_can_be_done_twice():
    async with meeting(post=hang) as (server, remote):
        await remote.meet()
        sending = asyncio.ensure_future(remote.send(transfer()))
        while not server.posted:
            await asyncio.sleep(0)
        await remote.close()

        assert await unreached(sending) == ("unreachable", "closed")
        await remote.close()
        assert (await unreached(remote.meet()))[0] == "unreachable"


# ── one by one ───────────────────────────────────────────────────────────────────────────────


def by_id(answers: dict[str, Answer]) -> Reaction:
    async def answer(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return render(answers[request.headers[b"ce-id"].decode()], close=False)

    return answer


async def test_each_event_goes_by_itself_with_the_marks_of_its_way():
    async with meeting(Answer(405)) as (server, remote):
        await remote.meet()
        event = Event.new(
            type="t", source="/s", id="1", data=b"{}", meshvia="eu/shop/orders", meshhops="1", vip=True
        )
        assert await remote.send(Transfer(Lane("eu", "r", "1"), 0, (Numbered(1, event),))) == [ACCEPTED]

    [request] = server.posted
    assert request.headers[b"ce-meshvia"] == b"eu/shop/orders"
    assert request.headers[b"ce-meshhops"] == b"1"
    assert b"mesh-transfer" not in request.headers
    assert b"prefer" not in request.headers


async def test_some_taken_some_refused_and_some_not_yet_are_three_verdicts():
    answers = {"1": Answer(202), "2": Answer(400), "3": Answer(503), "4": Answer(404), "5": Answer(200),
               "6": Answer(403)}  # fmt: skip
    async with meeting(Answer(405), by_id(answers)) as (_, remote):
        await remote.meet()
        said = await remote.send(transfer(6))

    assert said == [ACCEPTED, Verdict(Word.REFUSED, "status 400", 400), None, None, ACCEPTED, None]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404), "not found"),
        (Answer(401), "unauthorized"),
        (Answer(403), "forbidden"),
        (Answer(429), "busy"),
        (Answer(503), "unavailable"),
        (close, "unreachable"),
    ],
)
async def test_when_none_is_taken_the_fault_is_the_targets(answer: Answer | Reaction, reason: str):
    async with meeting(Answer(404), answer) as (_, remote):
        await remote.meet()

        assert (await unreached(remote.send(transfer())))[0] == reason


async def test_when_all_are_refused_each_has_its_verdict():
    async with meeting(Answer(405), Answer(422)) as (_, remote):
        await remote.meet()

        assert await remote.send(transfer()) == [Verdict(Word.REFUSED, "status 422", 422)] * 2


async def test_the_wish_to_wait_of_one_by_one_is_heard_too():
    async with meeting(Answer(405), Answer(503, headers=(("retry-after", "9"),))) as (_, remote):
        await remote.meet()
        with pytest.raises(Unreached) as caught:
            await remote.send(transfer())

    assert caught.value.after == 9.0


async def test_an_answer_to_one_event_that_holds_another_is_no_reply_to_us():
    reply = json.dumps({"specversion": "1.0", "id": "r", "source": "/r", "type": "r"}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/cloudevents+json\r\ncontent-length: %d\r\n\r\n%b"
    async with meeting(Answer(405), answer % (len(reply), reply)) as (_, remote):
        await remote.meet()

        assert await remote.send(transfer(1)) == [ACCEPTED]


# ── offers ───────────────────────────────────────────────────────────────────────────────────

ASKING = Answer(200, headers=(*CONSENT, *terms_headers(Terms("us/shop/orders", 100, 5_000, offers=True))))


def wanted(given: str) -> Answer:
    """Those at which there is an x."""
    return Answer(200, content=answers.encode_wanted([one == "x" for one in given]))


async def test_where_offers_are_asked_for_only_what_is_wanted_is_sent():
    async with meeting(ASKING, [wanted("-x-"), verdicts(ACCEPTED)]) as (server, remote):
        await remote.meet()

        assert await remote.send(transfer(3)) == [UNWANTED, ACCEPTED, UNWANTED]
        offered, sent = server.posted
        assert offered.headers[b"mesh-transfer"] == b"1-offer"
        assert offered.body == b"".join(identity(event) for _, event in transfer(3).events)
        assert sent.headers[b"mesh-numbers"] == b"2"
        assert [event["id"] for event in json.loads(sent.body)] == ["2"]


async def test_where_nothing_is_wanted_nothing_is_sent():
    async with meeting(ASKING, [wanted("--")]) as (server, remote):
        await remote.meet()

        assert await remote.send(transfer()) == [UNWANTED, UNWANTED]
        assert len(server.posted) == 1


async def test_an_offer_that_gets_no_answer_leaves_the_events_where_they_are():
    answered = [Answer(200, content=b"{}"), Answer(503), Answer(413), Answer(415), Answer(400)]
    async with meeting(ASKING, answered) as (_, remote):
        await remote.meet()

        reason, why = await unreached(remote.send(transfer()))
        assert (reason, "does not say what is wanted" in why) == ("bad answer", True)
        assert (await unreached(remote.send(transfer())))[0] == "unavailable"
        for _ in range(
            3
        ):  # none of which may make dead letters of events: the offer is at fault, or who gets it
            assert (await unreached(remote.send(transfer())))[0] == "bad answer"


async def test_a_target_that_no_longer_asks_is_sent_everything_at_once():
    async with meeting(ASKING, [verdicts(ACCEPTED, ACCEPTED)]) as (server, remote):
        await remote.meet()
        server.answers["OPTIONS"] = GATEWAY
        await remote.meet()

        assert await remote.send(transfer()) == [ACCEPTED, ACCEPTED]
