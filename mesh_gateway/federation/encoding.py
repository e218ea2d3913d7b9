"""A transfer as an HTTP request, and its verdicts as the answer.

    POST /shop/orders                               200
    mesh-transfer: 1                                content-type: application/json
    mesh-relay: shop/to-us
    mesh-epoch: 18f2c0…                             {"verdicts": ["accepted", "duplicate",
    mesh-floor: 12                                    {"refused": "…"}, null]}
    mesh-numbers: 13-112,115
    content-type: application/cloudevents-batch+json

    [{event}, {event}, …]

The body is a plain CloudEvents batch, so whatever looks into the traffic can read it. A receiver says beforehand, in
its answer to OPTIONS, that it takes transfers and how large they may be (`Terms`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mesh_gateway.broker.broker import ARRIVAL
from mesh_gateway.errors import EventError, EventTooLarge, InvalidEvent, UnsupportedMediaType
from mesh_gateway.event import Event
from mesh_gateway.federation.transfer import (
    ACCEPTED,
    DUPLICATE,
    LOOPED,
    Lane,
    Numbered,
    Transfer,
    Verdict,
    Word,
)
from mesh_gateway.wire import beside, http, json

VERSION = b"1"
"""Of this way of writing transfers. Another one gets another number, and who does not know it says so."""

TRANSFER, PLACE = b"mesh-transfer", b"mesh-place"
"""Headers of an answer to OPTIONS; the first one also makes a request a transfer."""

HEADERS = "meshheaders"
"""An event's HTTP headers (tracing) within a batch, where they have no place of their own."""

LINK_ONLY = frozenset({ARRIVAL})
"""Attributes that end here: the receiver has an arrival time of its own."""

GZIP_LEVEL = 1
"""The cheapest: on JSON it finds most of what the dearest finds, at a third of its cost."""

WHY_LENGTH = 256
"""Characters of a refusal's reason: what a dead letter keeps of it. So 500 of them fit an answer of `remote.ANSWER_BYTES`."""

NAME_LENGTH = 160
"""Characters of a relay or an epoch; `namespace/name` has 127 at most (`topology.values.LONGEST_NAME`)."""

# Fifteen digits are more than any lane will see, and keep what a peer sends small.
_number = re.compile(rb"[0-9]{1,15}").fullmatch
_range = re.compile(rb"([0-9]{1,15})(?:-([0-9]{1,15}))?").fullmatch
_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_verdicts = msgspec.json.Decoder(list[str | dict[str, str] | None]).decode
_PLAIN = {verdict.word.value: verdict for verdict in (ACCEPTED, DUPLICATE, LOOPED)}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a receiver of transfers says of itself."""

    place: str
    most_events: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """A transfer as it came: what can be judged, and what cannot even be read."""

    transfer: Transfer
    unreadable: Mapping[int, Verdict]
    """By the index in the transfer as it was sent."""

    def whole(self, judged: Iterable[Verdict | None]) -> list[Verdict | None]:
        """A verdict for each event that was sent, in order."""
        given = iter(judged)
        count = len(self.transfer.events) + len(self.unreadable)
        return [self.unreadable[index] if index in self.unreadable else next(given) for index in range(count)]


# ── terms ────────────────────────────────────────────────────────────────────────────────────


def terms_headers(terms: Terms) -> tuple[tuple[str, str], ...]:
    """How an answer to OPTIONS says that transfers are taken."""
    said = f"{VERSION.decode()}; events={terms.most_events}; bytes={terms.most_bytes}; gzip"
    return (TRANSFER.decode(), said), (PLACE.decode(), terms.place)


def read_terms(headers: Mapping[bytes, bytes]) -> Terms | None:
    """What an answer to OPTIONS says; None when its sender takes no transfers of this version."""
    version, *parameters = (part.strip() for part in headers.get(TRANSFER, b"").split(b";"))
    place = headers.get(PLACE, b"").decode("latin-1")
    numbers = dict(part.split(b"=", 1) for part in parameters if b"=" in part)
    events, size = numbers.get(b"events", b""), numbers.get(b"bytes", b"")
    if version != VERSION or not place or not _number(events) or not _number(size):
        return None
    return Terms(place, max(1, int(events)), max(1, int(size)))


# ── the request ──────────────────────────────────────────────────────────────────────────────


def encode(transfer: Transfer, *, gzip: bool) -> tuple[bytes, bytes]:
    """The header lines and the body of a transfer."""
    lane = transfer.lane
    body = json.encode_batch([_whole(event) for _, event in transfer.events], LINK_ONLY)
    coding = b""
    if gzip:
        body = zlib.compress(body, GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)
        coding = b"content-encoding: gzip\r\n"
    lines = (
        b"mesh-transfer: %b\r\nmesh-relay: %b\r\nmesh-epoch: %b\r\nmesh-floor: %d\r\nmesh-numbers: %b\r\n"
        b"content-type: %b\r\n%bcontent-length: %d\r\n"
    ) % (
        VERSION,
        lane.relay.encode(),
        lane.epoch.encode(),
        transfer.floor,
        _ranges([number for number, _ in transfer.events]),
        http.BATCH,
        coding,
        len(body),
    )
    return lines, body


def decode(fields: Mapping[bytes, bytes], body: bytes, cluster: str, limits: http.Limits) -> Incoming:
    """A transfer of that cluster. Raises `EventError` when it is none, or is over a limit as a whole."""
    if fields.get(TRANSFER) != VERSION:
        # No fault of its events: with this answer the sender asks anew what is read here.
        raise UnsupportedMediaType(f"mesh-transfer: this gateway reads version {VERSION.decode()}")
    floor = fields.get(b"mesh-floor", b"")
    if not _number(floor):
        raise InvalidEvent("mesh-floor: must be a number")
    lane = Lane(cluster, _name(fields, b"mesh-relay"), _name(fields, b"mesh-epoch"))
    body = _uncoded(fields.get(b"content-encoding", b""), body, limits.max_batch_bytes)
    each = [_bounded(one, limits.max_event_bytes) for one in _each(body, limits)]
    numbers = _numbers(fields.get(b"mesh-numbers", b""), limits.max_batch_events)
    if len(numbers) != len(each):
        raise InvalidEvent(f"mesh-numbers: names {len(numbers)} events, the body has {len(each)}")
    events = [
        Numbered(n, _split(one)) for n, one in zip(numbers, each, strict=True) if isinstance(one, Event)
    ]
    unreadable = {
        index: Verdict(Word.REFUSED, str(one))
        for index, one in enumerate(each)
        if isinstance(one, EventError)
    }
    return Incoming(Transfer(lane, int(floor), tuple(events)), unreadable)


def _whole(event: Event) -> Event:
    return (
        event
        if event.headers is None
        else event.with_attributes({HEADERS: beside.written(event.headers).decode()})
    )


def _each(body: bytes, limits: http.Limits) -> list[Event | EventError]:
    # A member may be as long as the body: as JSON an event is longer than it was where a producer sent it.
    return json.decode_each(body, limits.max_batch_events, limits.max_batch_bytes)


def _bounded(one: Event | EventError, most: int) -> Event | EventError:
    """The limit of events holds for what a broker's own producer could send: so many bytes of data."""
    if isinstance(one, Event):
        size = max(len(one.data or b""), sum(map(len, one.attributes.values())))
        if size > most:
            return EventTooLarge(f"has {size} bytes, the limit is {most} an event")
    return one


def _split(event: Event) -> Event:
    text = event.attributes.get(HEADERS)
    if text is None:
        return event
    bare = event.with_attributes({HEADERS: None})
    return Event(bare.attributes, bare.data, bare.kinds, http.passed(beside.headers(text) or {}))


def _name(fields: Mapping[bytes, bytes], header: bytes) -> str:
    value = fields.get(header, b"")
    if not 0 < len(value) <= NAME_LENGTH or not value.isascii():
        raise InvalidEvent(f"{header.decode()}: must be 1 to {NAME_LENGTH} ASCII characters")
    return value.decode()


def _uncoded(coding: bytes, body: bytes, most: int) -> bytes:
    """The body without its coding. Raises `EventError`; never makes more than `most` bytes of it."""
    if coding in (b"", b"identity"):
        return body
    if coding != b"gzip":
        raise InvalidEvent("content-encoding: a transfer is plain, or gzip")
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = inflate.decompress(body, most + 1)
    except zlib.error as error:
        raise InvalidEvent(f"content-encoding: the body is not gzip: {error}") from None
    if len(plain) > most:
        raise EventTooLarge(f"the transfer has more than {most} bytes")
    if not inflate.eof or inflate.unused_data:
        raise InvalidEvent("content-encoding: the body is torn")
    return plain


def _ranges(numbers: Sequence[int]) -> bytes:
    """`13-112,115`: numbers in their order, each run of them once."""
    parts: list[str] = []
    first = last = numbers[0] if numbers else 0
    for number in numbers[1:]:
        if number == last + 1:
            last = number
            continue
        parts.append(str(first) if first == last else f"{first}-{last}")
        first = last = number
    if numbers:
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(parts).encode()


def _numbers(text: bytes, most: int) -> list[int]:
    """The numbers of `_ranges`. Raises `InvalidEvent`; never makes more than `most` of them."""
    numbers: list[int] = []
    for part in text.split(b",") if text else ():
        match = _range(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first < 1 or last < first or len(numbers) + last - first >= most:
            raise InvalidEvent(f"mesh-numbers: {part[:40].decode('latin-1')!r} is no range of numbers")
        numbers += range(first, last + 1)
    return numbers


# ── the answer ───────────────────────────────────────────────────────────────────────────────


def encode_verdicts(verdicts: Sequence[Verdict | None]) -> bytes:
    """The body of the answer."""
    return _encode(
        {
            "verdicts": [
                None
                if one is None
                else {"refused": one.why[:WHY_LENGTH]}
                if one.word is Word.REFUSED
                else one.word.value
                for one in verdicts
            ]
        }
    )


def decode_verdicts(body: bytes, count: int) -> list[Verdict | None] | None:
    """The verdicts of a transfer of `count` events; None when this is no such answer."""
    try:
        given = _verdicts(_members(body).get("verdicts", b"[]"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    verdicts = [_verdict(one) for one in given if one is None or _verdict(one) is not None]
    return verdicts if len(verdicts) == len(given) == count else None


def _verdict(given: str | dict[str, str] | None) -> Verdict | None:
    if isinstance(given, str):
        return _PLAIN.get(given)
    if isinstance(given, dict) and "refused" in given:
        return Verdict(Word.REFUSED, given["refused"])
    return None
