"""Attacks on the framing, as raw bytes: each is refused or closed, never 5xx, and smuggles nothing in.

Behind every attack stands a valid event. A server that reads the attack differently than the
proxy before it would take that event for a request of its own.
"""

import re

import pytest

from mesh_gateway.ingress.limits import IngressLimits
from tests.ingress.serving import Client, chunked, event, event_lines, head, serving

HIDDEN = event("smuggled")
VALID = event_lines("1")
LINE = b"POST /shop/orders HTTP/1.1\r\n"
EVENT = "\r\n".join(VALID).encode() + b"\r\n"


def with_line(line: bytes) -> bytes:
    """A valid event but for one raw header line."""
    return LINE + b"host: a\r\n" + EVENT + line + b"\r\n\r\n"


def with_chunks(body: bytes) -> bytes:
    return head(*VALID, "transfer-encoding: chunked") + body


REFUSED = {
    # two framings
    "length and chunked": head(*VALID, "content-length: 4", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(*VALID, "transfer-encoding: chunked", "content-length: 4") + b"0\r\n\r\n",
    "two lengths that differ": head(*VALID, "content-length: 0", "content-length: 5"),
    "two lengths that agree": head(*VALID, "content-length: 0", "content-length: 0"),
    "a list of lengths": head(*VALID, "content-length: 0, 0"),
    "a length with a sign": head(*VALID, "content-length: +0"),
    "a negative length": head(*VALID, "content-length: -1"),
    "a hexadecimal length": head(*VALID, "content-length: 0x0"),
    "a length with an underscore": head(*VALID, "content-length: 1_0"),
    "a length with a point": head(*VALID, "content-length: 1.0"),
    "a length that overflows": head(*VALID, "content-length: 18446744073709551616"),
    "a length of nineteen digits": head(*VALID, "content-length: 1000000000000000000"),
    "an empty length": head(*VALID, "content-length:"),
    "a length in arabic digits": with_line("content-length: ٠".encode()),
    "a length behind a blank name": with_line(b"content-length : 0"),
    # transfer codings
    "identity coding": head(*VALID, "transfer-encoding: identity"),
    "gzip coding": head(*VALID, "transfer-encoding: gzip"),
    "gzip then chunked": head(*VALID, "transfer-encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked then identity": head(*VALID, "transfer-encoding: chunked, identity") + b"0\r\n\r\n",
    "chunked twice": head(*VALID, "transfer-encoding: chunked, chunked") + b"0\r\n\r\n",
    "two codings": head(*VALID, "transfer-encoding: chunked", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "xchunked": head(*VALID, "transfer-encoding: xchunked") + b"0\r\n\r\n",
    "quoted chunked": head(*VALID, 'transfer-encoding: "chunked"') + b"0\r\n\r\n",
    "chunked with a parameter": head(*VALID, "transfer-encoding: chunked;q=1") + b"0\r\n\r\n",
    "vertical tab before chunked": with_line(b"transfer-encoding: \x0bchunked") + b"0\r\n\r\n",
    "an empty coding": head(*VALID, "transfer-encoding:"),
    "chunked in HTTP/1.0": head(*VALID, "transfer-encoding: chunked", version="HTTP/1.0") + b"0\r\n\r\n",
    # line ends and folding
    "folded with a blank": with_line(b"x: a\r\n b"),
    "folded with a tab": with_line(b"x: a\r\n\tb"),
    "folded empty value": with_line(b"x:\r\n b"),
    "folded first line": LINE + b" host: a\r\n" + EVENT + b"\r\n",
    "folded length": with_line(b"content-length:\r\n 0"),
    "bare LF between headers": with_line(b"x: a\ny: b"),
    "bare LF after the request line": LINE[:-2] + b"\nhost: a\r\n" + EVENT + b"\r\n",
    "bare LF everywhere": (LINE + b"host: a\r\n" + EVENT + b"\r\n").replace(b"\r\n", b"\n"),
    "bare LF at the end of the head": LINE + b"host: a\r\n" + EVENT + b"\n",
    "bare CR in a value": with_line(b"x: a\rb"),
    "bare CR before CR LF": with_line(b"x: a\r"),
    "bare CR as a line end": with_line(b"x: a\ry: b"),
    "LF CR": with_line(b"x: a\n\ry: b"),
    "two empty lines before": b"\r\n\r\n" + head(*VALID),
    "a bare LF before": b"\n" + head(*VALID),
    "a bare CR before": b"\r" + head(*VALID),
    # characters
    "NUL in a value": with_line(b"x: a\x00b"),
    "NUL in a name": with_line(b"x\x00y: a"),
    "NUL in the target": LINE.replace(b"orders", b"ord\x00ers") + b"host: a\r\n\r\n",
    "a control character in a value": with_line(b"x: a\x01b"),
    "DEL in a value": with_line(b"x: a\x7fb"),
    "a blank in a name": with_line(b"x y: a"),
    "a blank before the colon": with_line(b"x : a"),
    "a tab before the colon": with_line(b"x\t: a"),
    "a header without a colon": with_line(b"x"),
    "a header without a name": with_line(b": a"),
    "a name that is not ASCII": with_line("x\u00e9: a".encode()),
    "a name with a bracket": with_line(b"x(y): a"),
    # the request line
    "two blanks in the request line": LINE.replace(b"POST ", b"POST  ") + b"host: a\r\n" + EVENT + b"\r\n",
    "a tab in the request line": LINE.replace(b" HTTP", b"\tHTTP") + b"host: a\r\n" + EVENT + b"\r\n",
    "a blank after the version": LINE[:-2] + b" \r\nhost: a\r\n" + EVENT + b"\r\n",
    "a blank before the method": b" " + LINE + b"host: a\r\n" + EVENT + b"\r\n",
    "a blank in the target": LINE.replace(b"/orders", b"/or ders") + b"host: a\r\n" + EVENT + b"\r\n",
    "bytes over 127 in the target": LINE.replace(b"orders", b"ord\xffers") + b"host: a\r\n" + EVENT + b"\r\n",
    "no target": b"POST HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/0.9": b"GET /shop/orders\r\n",
    "HTTP/0.9 with headers": b"POST /shop/orders\r\nhost: a\r\n" + EVENT + b"\r\n",
    "HTTP/1.2": head(*VALID, version="HTTP/1.2"),
    "HTTP/2.0": head(*VALID, version="HTTP/2.0"),
    "HTTP/11": head(*VALID, version="HTTP/11"),
    "HTTP/1.10": head(*VALID, version="HTTP/1.10"),
    "http in lower case": head(*VALID, version="http/1.1"),
    "another protocol": head(*VALID, version="RTSP/1.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a PROXY line": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
    "an unknown method": head(*VALID, method="SMUGGLE"),
    "a method in lower case": head(*VALID, method="post"),
    # hosts
    "no host": head(*VALID, host=None),
    "two hosts": head(*VALID, "host: b"),
    "the same host twice": head(*VALID, "Host: a"),
    "an empty host": head(*VALID, host=""),
    "a host with a blank": head(*VALID, host="a b"),
    "a host with a path": head(*VALID, host="a/b"),
    "a host with a user": head(*VALID, host="u@a"),
    # what may stand once
    "two ids": head(*VALID, "ce-id: 2"),
    "the same id twice in other letters": head(*VALID, "CE-ID: 1"),
    "two extensions": head(*VALID, "ce-x: 1", "ce-x: 1"),
    "two content types": head(*VALID, "content-type: a/b", "content-type: application/cloudevents+json"),
    "two expectations": head(*VALID, "expect: 100-continue", "expect: 100-continue"),
    "two ids beside a structured event": head(
        "ce-id: 1", "ce-id: 2", "content-type: application/cloudevents+json"
    ),
    # chunks
    "a chunk size that is no number": with_chunks(b"x\r\n"),
    "a signed chunk size": with_chunks(b"+1\r\na\r\n0\r\n\r\n"),
    "a chunk size with 0x": with_chunks(b"0x1\r\na\r\n0\r\n\r\n"),
    "an empty chunk size": with_chunks(b"\r\na\r\n0\r\n\r\n"),
    "a chunk size that overflows": with_chunks(b"10000000000000001\r\na\r\n0\r\n\r\n"),
    "a blank behind a chunk size": with_chunks(b"1 \r\na\r\n0\r\n\r\n"),
    "bare LF behind a chunk size": with_chunks(b"1\na\n0\n\n"),
    "bare LF in a chunk extension": with_chunks(b"1;\n\r\na\r\n0\r\n\r\n"),
    "bare CR in a chunk extension": with_chunks(b"1;a\rb\r\na\r\n0\r\n\r\n"),
    "NUL in a chunk extension": with_chunks(b"1;\x00\r\na\r\n0\r\n\r\n"),
    "an extension without end": with_chunks(b"1;" + b"x" * 2_000 + b"\r\na\r\n0\r\n\r\n"),
    "a chunk longer than its size": with_chunks(b"1\r\nab\r\n0\r\n\r\n"),
    "a chunk shorter than its size": with_chunks(b"3\r\na\r\n0\r\n\r\n"),
    "a chunk without its line end": with_chunks(b"1\r\na0\r\n\r\n"),
    "bare LF behind a chunk": with_chunks(b"1\r\na\n0\r\n\r\n"),
    "a last chunk with bare LF": with_chunks(b"1\r\na\r\n0\n\n"),
    "a trailer without a colon": with_chunks(b"0\r\nx\r\n\r\n"),
    "a folded trailer": with_chunks(b"0\r\nx: y\r\n z\r\n\r\n"),
    "a trailer with NUL": with_chunks(b"0\r\nx: \x00\r\n\r\n"),
    # too much
    "a head without end": LINE + b"host: a\r\nx: " + b"y" * 40_000,
    "a target without end": b"POST /" + b"x" * 40_000,
    "headers without end": LINE + b"host: a\r\n" + b"a: b\r\n" * 6_000,
    "a hundred and one headers": head(*[f"x{index}: 1" for index in range(100)]),
    "a header over 8 KiB": head(*VALID, "x: " + "y" * 8_192),
    "a body over the limit": head(*VALID, "content-length: 1048577"),
    "an empty line without end": b"\r\n" * 20_000,
    # tunnels and expectations
    "CONNECT": head(method="CONNECT", path="a:443"),
    "CONNECT to a broker": head(*VALID, "content-length: 0", method="CONNECT", path="/shop/orders"),
    "another expectation": head(*VALID, "expect: 200-ok", "content-length: 1048576"),
}
"""The connection must close by itself, and no event be stored."""

TRUNCATED = {
    "nothing": b"",
    "half a request line": b"POST /shop",
    "half a head": head(*VALID)[:-2],
    "a lone CR": b"\r",
    "half a body": head(*VALID, "content-length: 100") + b"x" * 99,
    "half a chunk": with_chunks(b"5\r\nabc"),
    "chunks without the last": with_chunks(b"1\r\na\r\n"),
    "a last chunk without its end": with_chunks(b"1\r\na\r\n0\r\n"),
}
"""The client closes in the middle: nothing of it is an event."""

SWALLOWED = {
    "a request in a body": (head(*VALID, f"content-length: {len(HIDDEN)}") + HIDDEN, HIDDEN),
    "a request in a chunk": (chunked("1", HIDDEN), HIDDEN),
    "a request over two chunks": (chunked("1", HIDDEN[:30], HIDDEN[30:]), HIDDEN),
    "a chunked ending in a body": (head(*VALID, "content-length: 5") + b"0\r\n\r\n", b"0\r\n\r\n"),
    "a trailer that names a length": (with_chunks(b"1\r\na\r\n0\r\nx-content-length: 9\r\n\r\n"), b"a"),
    "an upgrade with a body": (
        head(*VALID, "connection: upgrade", "upgrade: h2c", f"content-length: {len(HIDDEN)}") + HIDDEN,
        HIDDEN,
    ),
    "an upgrade without a body": (head(*VALID, "connection: upgrade", "upgrade: websocket"), None),
}
"""Valid requests whose bodies look like requests: one event each, with exactly that body."""


async def statuses(client: Client) -> list[int]:
    """All that the server says until it closes."""
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 ([0-9]{3}) ", await client.rest(), re.MULTILINE)]


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) + len(TRUNCATED) + len(SWALLOWED) >= 100


@pytest.mark.parametrize("name", REFUSED)
async def test_an_attack_is_refused_and_the_connection_closed(name: str) -> None:
    async with serving() as served, served.client() as client:
        client.send(REFUSED[name] + HIDDEN)
        seen = await statuses(client)
        assert len(seen) == 1
        assert 400 <= seen[0] < 500
        assert served.broker.ids == []


@pytest.mark.parametrize("name", REFUSED)
async def test_an_attack_that_comes_in_pieces_is_refused_too(name: str) -> None:
    async with serving() as served, served.client() as client:
        attack = REFUSED[name]
        size = max(7, len(attack) // 50)
        for at in range(0, len(attack), size):
            client.send(attack[at : at + size])
            async with served.client() as other:  # a round trip, so that each piece is read by itself
                await other.ask(head(method="GET"))
        client.send(HIDDEN)
        seen = await statuses(client)
        assert len(seen) == 1
        assert 400 <= seen[0] < 500
        assert served.broker.ids == []


@pytest.mark.parametrize("name", TRUNCATED)
async def test_a_truncated_request_is_no_event(name: str) -> None:
    async with serving() as served, served.client() as client:
        client.send(TRUNCATED[name])
        client.writer.write_eof()
        assert [status for status in await statuses(client) if not 400 <= status < 500] == []
        assert served.broker.ids == []
        assert served.endpoint.in_hand.bytes == 0


@pytest.mark.parametrize("name", SWALLOWED)
async def test_a_body_that_looks_like_a_request_is_a_body(name: str) -> None:
    request, body = SWALLOWED[name]
    async with serving() as served, served.client() as client:
        client.send(request + event("2") + head("connection: close", method="GET"))
        assert await statuses(client) == [202, 202, 405]
        assert served.broker.ids == ["1", "2"]
        assert served.broker.events[0].data == body


@pytest.mark.parametrize("valid", [event("1"), chunked("1", b"a")])
async def test_an_attack_behind_a_valid_request_is_answered_after_it(valid: bytes) -> None:
    async with serving() as served, served.client() as client:
        client.send(valid + b"GET / HTTP/9\r\n\r\n" + HIDDEN)
        assert await statuses(client) == [202, 400]
        assert served.broker.ids == ["1"]


@pytest.mark.parametrize(
    "begun", [LINE + b"host: a\n\n", b"GET /\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x16\x03\x01"]
)
async def test_what_can_never_become_a_head_is_refused_without_waiting_for_more(begun: bytes) -> None:
    async with serving() as served, served.client() as client:
        client.send(begun)
        assert await statuses(client) == [400]


async def test_requests_behind_one_that_closes_are_not_read() -> None:
    async with serving() as served, served.client() as client:
        client.send(event("1", b"", "connection: close") + HIDDEN)
        assert await statuses(client) == [202]
        assert served.broker.ids == ["1"]


async def test_a_refused_head_stays_refused_when_the_limits_are_small() -> None:
    async with serving(IngressLimits(max_headers_bytes=64)) as served, served.client() as client:
        client.send(event("1") + HIDDEN)
        assert await statuses(client) == [431]
        assert served.broker.ids == []
