"""Attacks on the framing, as raw bytes: each is refused or closed, never 5xx, and smuggles nothing in."""

import re

import pytest

from mesh_gateway.ingress.limits import IngressLimits
from tests.ingress.attacks import HIDDEN, LINE, REFUSED, SWALLOWED, TRUNCATED
from tests.ingress.serving import Client, chunked, event, head, serving


async def statuses(client: Client) -> list[int]:
    """All that the server says until it closes."""
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 ([0-9]{3}) ", await client.rest(), re.MULTILINE)]


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) + len(TRUNCATED) + len(SWALLOWED) >= 200


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
