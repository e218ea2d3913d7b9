"""Subscribers that answer so as to hurt: what each says to a request, forever if it can."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Awaitable, Callable

from tests.harness import Server

BOMB = gzip.compress(b"\0" * 20_000_000)
"""Twenty megabytes in twenty kilobytes."""

CE = b"ce-specversion: 1.0\r\nce-id: r\r\nce-source: /r\r\nce-type: reply\r\n"
TEN_YEARS = 10 * 365 * 86_400


class Talk:
    """One request's connection, and the dice of its trigger."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.chance = chance

    async def say(self, raw: bytes) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"", headers: bytes = b"") -> None:
        await self.say(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), headers, body)
        )

    async def drip(self, raw: bytes) -> None:
        for at in range(len(raw)):
            await self.say(raw[at : at + 1])
            await asyncio.sleep(0.1)

    async def flood(self, begin: bytes, again: bytes) -> None:
        await self.say(begin)
        while True:
            await self.say(again)

    async def end(self) -> None:
        if self.writer.can_write_eof():
            self.writer.write_eof()


async def gzip_bomb(talk: Talk) -> None:
    await talk.answer(talk.chance.choice((200, 500, 400)), BOMB, b"content-encoding: gzip\r\n")


async def gzip_bomb_as_reply(talk: Talk) -> None:
    await talk.answer(200, BOMB, b"content-type: application/cloudevents+json\r\ncontent-encoding: gzip\r\n")


async def drip_head(talk: Talk) -> None:
    await talk.drip(b"HTTP/1.1 202 Accepted\r\nx: " + b"y" * 1_000)


async def drip_body(talk: Talk) -> None:
    await talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    await talk.drip(b"y" * 1_000)


async def header_flood(talk: Talk) -> None:
    await talk.flood(b"HTTP/1.1 200 OK\r\n", b"x-%d: y\r\n" % talk.chance.randrange(10**9) * 100)


async def one_header_without_end(talk: Talk) -> None:
    await talk.flood(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 10_000)


async def kne_flood(talk: Talk) -> None:
    flood = b"".join(b"kne-%d: y\r\n" % n for n in range(1_000))
    await talk.answer(400, b"why", flood)


async def interim_flood(talk: Talk) -> None:
    await talk.flood(b"", b"HTTP/1.1 %d X\r\n\r\n" % talk.chance.choice((100, 102, 103)) * 50)


async def endless_body(talk: Talk) -> None:
    await talk.flood(b"HTTP/1.1 %d X\r\n\r\n" % talk.chance.choice((200, 500)), b"y" * 50_000)


async def endless_chunks(talk: Talk) -> None:
    await talk.flood(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"2\r\nyy\r\n" * 5_000)


async def endless_extension(talk: Talk) -> None:
    await talk.flood(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"y" * 50_000)


async def endless_trailers(talk: Talk) -> None:
    await talk.flood(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: yyyyyyyy\r\n" * 1_000
    )


async def garbage(talk: Talk) -> None:
    await talk.say(talk.chance.randbytes(talk.chance.randint(1, 50_000)))


async def wrong_chunks(talk: Talk) -> None:
    bad = talk.chance.choice(
        (b"zz\r\n", b"3\r\nabcdef\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"1\nx\n0\n\n")
    )
    await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + bad)


async def ten_years(talk: Talk) -> None:
    after = talk.chance.choice(
        (
            b"%d" % TEN_YEARS,
            b"9" * 400,
            b"Mon, 01 Jan 2046 00:00:00 GMT",
            b"Mon, 01 Jan 99999999999 00:00:00 GMT",
        )
    )
    await talk.answer(talk.chance.choice((429, 503)), b"", b"retry-after: " + after + b"\r\n")


async def body_behind_204(talk: Talk) -> None:
    await talk.say(b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello")


async def half_an_event(talk: Talk) -> None:
    await talk.say(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 90\r\n\r\n"
        b'{"specversion":"1.0","id":"r","source'
    )
    await talk.end()


async def event_that_is_none(talk: Talk) -> None:
    bad = talk.chance.choice(
        (b"ce-x: %0d%0ax-evil:%201\r\n", b"ce-x: %00\r\n", b"ce-id: 2\r\n", b"ce-my_ext: x\r\n")
    )
    await talk.answer(200, b"{}", CE + bad)


async def deep_reply(talk: Talk) -> None:
    await talk.answer(200, b'{"data":' + b"[" * 100_000, b"content-type: application/cloudevents+json\r\n")


async def two_answers(talk: Talk) -> None:
    await talk.say(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\nHTTP/1.1 202 X\r\ncontent-length: 0\r\n\r\n")


async def redirect(talk: Talk) -> None:
    await talk.answer(
        talk.chance.choice((301, 302, 307, 308)), b"", b"location: http://169.254.169.254/latest/\r\n"
    )


async def hang(talk: Talk) -> None:
    await talk.reader.read()


async def reset(talk: Talk) -> None:
    talk.writer.transport.abort()


async def farewell(talk: Talk) -> None:
    await talk.end()


async def another_protocol(talk: Talk) -> None:
    await talk.say(
        talk.chance.choice(
            (b"HTTP/2.0 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\x02", b"ICY 200 OK\r\n\r\n")
        )
    )


WAYS: tuple[Callable[[Talk], Awaitable[None]], ...] = (
    gzip_bomb, gzip_bomb_as_reply, drip_head, drip_body, header_flood, one_header_without_end, kne_flood, interim_flood,
    endless_body, endless_chunks, endless_extension, endless_trailers, garbage, wrong_chunks, ten_years, body_behind_204,
    half_an_event, event_that_is_none, deep_reply, two_answers, redirect, hang, reset, farewell, another_protocol,
)  # fmt: skip


class HostileServer(Server):
    """Answers a request to `/N` in the way of subscriber N; several subscribers have the same way with other dice."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[int] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            number = int(head.split(b" ")[1].strip(b"/"))
            self.asked.add(number)
            chance = random.Random(f"{number} {head!r}")
            await WAYS[number % len(WAYS)](Talk(reader, writer, chance))
