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
its answer to OPTIONS, that it takes transfers and how large they may be (`terms.py`). Where it says so, the sender offers
the events first: a request with `mesh-transfer: 1-offer`, relay and epoch, whose body is the identities (`identity.py`) one
after the other. The answer names the wanted ones by their place, from 1: `{"wanted": "1-97,100"}`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh_gateway.broker.broker import ARRIVAL
from mesh_gateway.errors import EventError, EventTooLarge, InvalidEvent, UnsupportedMediaType
from mesh_gateway.event import Event
from mesh_gateway.federation import ranges
from mesh_gateway.federation.identity import DIGEST
from mesh_gateway.federation.transfer import (
    Lane,
    Numbered,
    Offer,
    Transfer,
    Verdict,
    Word,
)
from mesh_gateway.wire import beside, http, json

VERSION = b"1"
"""Of this way of writing transfers. Another one gets another number, and who does not know it says so."""

TRANSFER = b"mesh-transfer"
"""The header that makes a request a transfer, or an offer of one."""

OFFER = b"1-offer"
"""Instead of the version, for an offer: who knows none says that this version is unknown, and is asked anew."""

HEADERS = "meshheaders"
"""An event's HTTP headers (tracing) within a batch, where they have no place of their own."""

LINK_ONLY = frozenset({ARRIVAL})
"""Attributes that end here: the receiver has an arrival time of its own."""

GZIP_LEVEL = 1
"""The cheapest: on JSON it finds most of what the dearest finds, at a third of its cost."""

NAME_LENGTH = 160
"""Characters of a relay or an epoch; `namespace/name` has 127 at most (`topology.values.LONGEST_NAME`)."""

# Fifteen digits are more than any lane will see, and keep what a peer sends small.
_number = re.compile(rb"[0-9]{1,15}").fullmatch


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


# ── the request ──────────────────────────────────────────────────────────────────────────────


def encode(transfer: Transfer, *, gzip: bool) -> tuple[bytes, bytes]:
    """The header lines and the body of a transfer."""
    lane = transfer.lane
    body = json.encode_batch([_whole(event) for _, event in transfer.events], LINK_ONLY)
    coding = b""
    if gzip:
        body = zlib.compress(body, GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)
        coding = b"content-encoding: gzip\r\n"
    lines = (b"%bmesh-floor: %d\r\nmesh-numbers: %b\r\ncontent-type: %b\r\n%bcontent-length: %d\r\n") % (
        _lane_lines(lane, VERSION),
        transfer.floor,
        ranges.ranges([number for number, _ in transfer.events]),
        http.BATCH,
        coding,
        len(body),
    )
    return lines, body


def decode(fields: Mapping[bytes, bytes], body: bytes, cluster: str, limits: http.Limits) -> Incoming:
    """A transfer of that cluster. Raises `EventError` when it is none, or is over a limit as a whole."""
    lane = _lane(fields, cluster, VERSION)
    floor = fields.get(b"mesh-floor", b"")
    if not _number(floor):
        raise InvalidEvent("mesh-floor: must be a number")
    body = _uncoded(fields.get(b"content-encoding", b""), body, limits.max_batch_bytes)
    each = [_bounded(one, limits.max_event_bytes) for one in _each(body, limits)]
    numbers = ranges.numbers(fields.get(b"mesh-numbers", b""), limits.max_batch_events)
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


def encode_offer(offer: Offer) -> tuple[bytes, bytes]:
    """The header lines and the body of an offer."""
    body = b"".join(offer.identities)
    lines = b"%bcontent-type: application/octet-stream\r\ncontent-length: %d\r\n" % (
        _lane_lines(offer.lane, OFFER),
        len(body),
    )
    return lines, body


def decode_offer(fields: Mapping[bytes, bytes], body: bytes, cluster: str, limits: http.Limits) -> Offer:
    """An offer of that cluster. Raises `EventError` when it is none, or names too many events."""
    lane = _lane(fields, cluster, OFFER)
    count, rest = divmod(len(body), DIGEST)
    if rest:
        raise InvalidEvent(f"an offer has {DIGEST} bytes of each event; this one is torn")
    if count > limits.max_batch_events:
        raise EventTooLarge(f"the offer names {count} events, the limit is {limits.max_batch_events}")
    return Offer(lane, tuple(body[at : at + DIGEST] for at in range(0, len(body), DIGEST)))


def is_offer(fields: Mapping[bytes, bytes]) -> bool:
    """Whether a request of a peer is an offer, and no transfer."""
    return fields.get(TRANSFER) == OFFER


def _lane_lines(lane: Lane, version: bytes) -> bytes:
    return b"mesh-transfer: %b\r\nmesh-relay: %b\r\nmesh-epoch: %b\r\n" % (
        version,
        lane.relay.encode(),
        lane.epoch.encode(),
    )


def _lane(fields: Mapping[bytes, bytes], cluster: str, version: bytes) -> Lane:
    if fields.get(TRANSFER) != version:
        # No fault of its events: with this answer the sender asks anew what is read here.
        raise UnsupportedMediaType(f"mesh-transfer: this gateway reads version {VERSION.decode()}")
    return Lane(cluster, _name(fields, b"mesh-relay"), _name(fields, b"mesh-epoch"))


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
