"""Answers made to hurt, fed to a connection piece by piece: every attempt ends exactly once, and nothing is raised."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mesh_gateway.delivery.connection import MAX_HEAD_BYTES, Connection, Exchange, Response
from mesh_gateway.delivery.http import HttpSettings, HttpSink, retry_after
from mesh_gateway.delivery.sink import Accepted, Outcome, Refused, Retry

MUTANTS = 10_000
BODY_LIMIT = 2_000


class Wire(asyncio.Transport):
    """A transport that only says whether it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "sent on a connection that is closed"

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


class Subscriber:
    """The owner of one connection, and what became of its attempts."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.ended: list[Response | str] = []
        self.free = 0
        self.connection = Connection(self, 0.0)
        self.connection.connection_made(self.wire)

    def freed(self, connection: Connection) -> None:
        self.free += 1

    def gone(self, connection: Connection) -> None:
        pass

    def again(self, exchange: Exchange) -> None:
        exchange.failed(exchange.context, "again")

    def ask(self) -> None:
        def ended(_: Any, how: Response | str) -> None:
            self.ended.append(how)

        self.connection.send(Exchange(b"POST / HTTP/1.1\r\n\r\n", 1.0, BODY_LIMIT, None, ended, ended))

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            if self.wire.ended:
                return
            self.connection.data_received(piece)

    def leave(self) -> None:
        """The subscriber closes, or the deadline passes."""
        if not self.wire.ended:
            self.connection.expire("timeout")
        self.connection.connection_lost(None)


@contextmanager
def asked() -> Iterator[Subscriber]:
    subscriber = Subscriber()
    subscriber.ask()
    yield subscriber
    subscriber.leave()
    assert len(subscriber.ended) == 1


CE = b"ce-specversion: 1.0\r\nce-id: r\r\nce-source: /r\r\nce-type: t\r\n"
STRUCTURED = b'{"specversion":"1.0","id":"r","source":"/r","type":"t","data":{"a":[1,2.5,"\xc5\xbe"]}}'
GOOD = (
    b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + CE + b"content-type: text/plain; charset=utf-8\r\ncontent-length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/cloudevents+json\r\ncontent-length: %d\r\n\r\n%b"
    % (len(STRUCTURED), STRUCTURED),
    b"HTTP/1.1 200 OK\r\n" + CE + b"transfer-encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nretry-after: Mon, 01 Jan 2035 00:00:00 +0100\r\ncontent-length: 4\r\n\r\nbusy",
    b"HTTP/1.1 429 Slow\r\nretry-after: 120\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
)

BITS = (
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b" ", b":", b"0", b"-1", b"9" * 20, b"9" * 5_000, b"chunked", b"gzip",
    b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n",
    b"ce-id: 2\r\n", b"kne-x: y\r\n", b"ce-%00: \r\n", b"%0d%0a", b"\xed\xa0\x80", b"x" * 9_000, b"{", b"[" * 500, b"NaN", b"1e999",
    b"retry-after: 99999999999999999999999999\r\n", b"datacontenttype", b"charset=idna", b"+99999999999999999999",
)  # fmt: skip


def mutant(chance: random.Random) -> bytes:
    """A good response with one to four things done to it."""
    raw = bytearray(chance.choice(GOOD))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(6):
            case 0:
                raw[at:at] = chance.choice(BITS)
            case 1:
                del raw[at : at + chance.randint(1, 8)]
            case 2 if at < len(raw):
                raw[at] = chance.randrange(256)
            case 3:
                raw += chance.choice(GOOD)
            case 4:
                line = chance.choice(re.split(rb"(?<=\r\n)", bytes(raw)))
                raw[at:at] = line
            case _:
                numbers = list(re.finditer(rb"[0-9]+", raw))
                if numbers:
                    found = chance.choice(numbers)
                    raw[found.start() : found.end()] = b"%d" % (10 ** chance.choice([0, 2, 6, 12, 20, 40]))
    return bytes(raw)


def pieces(raw: bytes, chance: random.Random) -> list[bytes]:
    cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(chance.randint(0, 5)))
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) if a != b]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_a_subscriber_says_the_attempt_ends_once_and_has_an_outcome(seed: int) -> None:
    chance = random.Random(seed)
    sink = HttpSink(HttpSettings("http://127.0.0.1:1/", max_reply_bytes=BODY_LIMIT))
    for _ in range(MUTANTS // 20):
        with asked() as subscriber:
            subscriber.say(*pieces(mutant(chance), chance))
        how = subscriber.ended[0]
        if isinstance(how, Response):
            assert len(how.body) <= BODY_LIMIT
            assert isinstance(sink.outcome(how), Accepted | Refused | Retry)
    await sink.close()


# ── what comes behind a response ─────────────────────────────────────────────────────────────

OK = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "surplus", [OK, OK[:20], b"H", b"garbage", b"HTTP/1.1 204 No Content\r\n" + b"x: y\r\n" * 2_000]
)
def test_what_comes_behind_a_response_is_no_answer_to_the_next_request(surplus: bytes) -> None:
    with asked() as subscriber:
        subscriber.say(OK + surplus)

        assert [how.status for how in subscriber.ended if isinstance(how, Response)] == [202]
        assert subscriber.wire.ended
        assert subscriber.free == 0


def test_a_clean_response_leaves_the_connection_to_others() -> None:
    with asked() as subscriber:
        subscriber.say(OK[:9], OK[9:])

        assert subscriber.free == 1
        assert not subscriber.wire.ended


def test_a_body_behind_204_is_none_and_ends_the_connection() -> None:
    with asked() as subscriber:
        subscriber.say(b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello")

        (how,) = subscriber.ended
        assert isinstance(how, Response)
        assert (how.status, how.body) == (204, b"")
        assert subscriber.wire.ended


# ── what never ends ──────────────────────────────────────────────────────────────────────────

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 100 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"kne-header: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 100),
        (b"HTTP/1.1 200 ", b"y" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 100),
        (CHUNKED, b"1\r\ny\r\n"),
        (CHUNKED, b"0" * 100),
        (CHUNKED + b"1;", b"x" * 100),
        (CHUNKED, b"1;" + b"x" * 500 + b"\r\ny\r\n"),
        (CHUNKED + b"0\r\n", b"x: " + b"y" * 100 + b"\r\n"),
        (CHUNKED + b"0\r\nx: ", b"y" * 100),
        (CHUNKED + b"0\r\n", b"y" * 100),
    ],
)
def test_what_never_ends_is_cut_off_long_before_the_deadline(begin: bytes, again: bytes) -> None:
    with asked() as subscriber:
        subscriber.say(begin)
        said = 0
        while not subscriber.wire.ended:
            subscriber.say(again)
            said += len(again)
            assert said < 3 * MAX_HEAD_BYTES + 20 * BODY_LIMIT, "still listening"

        assert isinstance(subscriber.ended[0], str)


def test_a_body_of_many_small_pieces_costs_no_more_than_its_bytes() -> None:
    """Each piece an object of its own would be fifty times the body."""
    with asked() as subscriber:
        subscriber.say(CHUNKED, *[b"2\r\nab\r\n"] * (BODY_LIMIT // 2))

        assert subscriber.connection._body == b"ab" * (BODY_LIMIT // 2)


# ── Retry-After ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 99999999999999999999 Jan 2026 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 10000 00:00:00 GMT",
        "Mon, 01 Jan 2026 99:99:99 GMT",
        "\u00b2", "1.5", "1e9", "+5", "soon", ",,,", "9" * 5_000 + "x",
    ],
)  # fmt: skip
def test_a_time_that_is_none_asks_for_nothing(value: str) -> None:
    assert retry_after(Response(503, [(b"retry-after", value.encode("latin-1"))], b"")) is None


def outcome(response: Response) -> Outcome:
    return HttpSink(HttpSettings("http://127.0.0.1:1/")).outcome(response)


def test_a_flood_of_names_that_knative_copies_is_in_no_outcome() -> None:
    """Some brokers copy `kne-` headers into the dead letter; here nothing of a response but status and body is read."""
    flood = [(b"kne-%d" % n, b"x" * 20) for n in range(1_000)]

    assert outcome(Response(400, flood, b"why")) == Refused("status 400", 400, b"why")
