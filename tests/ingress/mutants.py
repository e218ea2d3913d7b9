"""Good requests with a few things done to them, and an independent reading of what is left of them.

`requests` reads bytes as strictly as RFC 9112 allows, with other means than the gateway's parser; where it stops, no honest
reader finds another request. So whatever is stored must be the event of one of those requests, in their order.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mesh_gateway.event import Event
from tests.ingress.attacks import HIDDEN
from tests.ingress.serving import chunked, event, event_lines, head, structured

GOOD = (
    event("1", HIDDEN),
    event("1", HIDDEN) + event("2") + head(method="GET"),
    chunked("1", HIDDEN) + event("2"),
    chunked("1", HIDDEN[:40], HIDDEN[40:]) + chunked("2", b"x"),
    event("1", HIDDEN, "connection: close") + event("2"),
    event("1", HIDDEN, "expect: 100-continue"),
    event("1", HIDDEN, "x: " + "y" * 500, "ce-a: b", "traceparent: 00-a-b-01"),
    structured("1"),
    structured("1") + structured("2", "3", batch=True) + event("4", HIDDEN),
    head("content-type: application/cloudevents+json", f"content-length: {len(HIDDEN)}") + HIDDEN,
    event("1", HIDDEN, path="http://elsewhere/shop/orders?x=1"),
    head(*event_lines("1"), "content-length: 0", version="HTTP/1.0"),
    head(*event_lines("1"), "transfer-encoding: chunked") + b"1;a=b\r\nx\r\n00\r\nt: u\r\n\r\n" + HIDDEN,
)

BITS = (
    b"\r\n", b"\n", b"\r", b"\0", b"\t", b" ", b":", b",", b";", b"\x0b", b"\xff", b"\xa0", b"\xed\xa0\x80", b"%00", b"%0d%0a", b"\r\n ",
    b"0", b"+", b"-", b"0x", b"9" * 25, b"chunked", b"identity", b"x" * 9_000, b"\r\n\r\n", b"HTTP/1.1", b"0\r\n\r\n",
    b"content-length: 0\r\n", b"content-length: 5\r\n", b"content-length : 5\r\n", b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip\r\n", b"host: b\r\n", b"ce-id: 9\r\n", b"connection: close\r\n", b"upgrade: h2c\r\n",
    b"ce-knativebrokerttl: 0\r\n", b"content-encoding: gzip\r\n", b"content-type: application/cloudevents+json\r\n",
    b"[" * 2_000, b"{", b"NaN", b"1e999", b'"id":"5",', b"9" * 5_000,
)  # fmt: skip


def mutant(chance: random.Random) -> bytes:
    """A good request, or several behind each other, with one to four things done to it."""
    raw = bytearray(chance.choice(GOOD))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(9):
            case 0:
                raw[at:at] = chance.choice(BITS)
            case 1:
                lines = list(re.finditer(rb"\r\n", raw))
                if lines:
                    end = chance.choice(lines).end()
                    raw[end:end] = chance.choice(BITS)
            case 2:
                del raw[at : at + chance.randint(1, 8)]
            case 3 if at < len(raw):
                raw[at] = chance.randrange(256)
            case 4:
                line = chance.choice(re.split(rb"(?<=\r\n)", bytes(raw)))
                raw[at:at] = line
            case 5:
                ends = list(re.finditer(rb"\r\n", raw))
                if ends:
                    one = chance.choice(ends)
                    raw[one.start() : one.end()] = chance.choice(
                        (b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b"\r\n ")
                    )
            case 6:
                numbers = list(re.finditer(rb"[0-9a-f]+(?=\r\n)", raw))
                if numbers:
                    number = chance.choice(numbers)
                    raw[number.start() : number.end()] = b"%d" % chance.choice(
                        (0, 1, 2, 5, 44, 10**6, 2**32, 2**64)
                    )
            case 7:
                del raw[at:]
            case _:
                raw[at:] = chance.choice(GOOD)[chance.randrange(40) :]
    return bytes(raw)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as everybody must read it."""

    fields: Mapping[bytes, bytes]
    body: bytes

    def holds(self, found: Event) -> bool:
        """Whether this event may come from this request."""
        if self.fields.get(b"content-type", b"").lower().startswith(b"application/cloudevents"):
            return found.id in json_ids(self.body)
        id = unquote_to_bytes(self.fields.get(b"ce-id", b"")).decode("utf-8", "replace")
        # Quotes around a part of a value are not of it (CloudEvents HTTP binding, 3.1.3.2).
        return found.id in (id, id.replace('"', "")) and (found.data or b"") == self.body


_head = re.compile(
    rb"(?:\r\n)?[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/1\.[01]\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
).match
_chunk = re.compile(rb"([0-9A-Fa-f]+)(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n").match
_trailers = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n").match


def requests(raw: bytes) -> Iterator[Request]:
    """The requests in `raw` up to the first place where two readers could disagree."""
    at = 0
    while found := _head(raw, at):
        lines = [line.partition(b":") for line in found[1].split(b"\r\n") if line]
        fields = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
        framing = [
            (name, value) for name, value in fields if name in (b"content-length", b"transfer-encoding")
        ]
        at = found.end()
        match framing:
            case []:
                body: bytes | None = b""
            case [(b"content-length", length)] if re.fullmatch(rb"[0-9]{1,18}", length):
                body = raw[at : at + int(length)] if len(raw) - at >= int(length) else None
                at += int(length)
            case [(b"transfer-encoding", coding)] if coding.lower() == b"chunked":
                body, at = _chunks(raw, at)
            case _:
                return
        if body is None:
            return
        yield Request(dict(fields), body)


def _chunks(raw: bytes, at: int) -> tuple[bytes | None, int]:
    body = b""
    while found := _chunk(raw, at):
        size, at = int(found[1], 16), found.end()
        if not size:
            end = _trailers(raw, at)
            return (body, end.end()) if end else (None, at)
        if raw[at + size : at + size + 2] != b"\r\n":
            return None, at
        body += raw[at : at + size]
        at += size + 2
    return None, at


def json_ids(body: bytes) -> set[str]:
    """The ids that stand in a structured event or a batch."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    several = read if isinstance(read, list) else [read]
    return {one["id"] for one in several if isinstance(one, dict) and isinstance(one.get("id"), str)}


def smuggled(stored: Sequence[Event], raw: bytes) -> list[Event]:
    """Those of the stored events that belong to no request of `raw`, taken in order."""
    left = list(requests(raw))
    strangers = []
    for one in stored:
        while left and not left[0].holds(one):
            left.pop(0)
        if not left:
            strangers.append(one)
    return strangers
