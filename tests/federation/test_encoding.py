"""Transfers and verdicts as bytes: what is written is read again, and what others write never surprises."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_gateway.errors import EventTooLarge, InvalidEvent, UnsupportedMediaType
from mesh_gateway.event import Event
from mesh_gateway.federation import answers, encoding, ranges
from mesh_gateway.federation.answers import WHY_LENGTH
from mesh_gateway.federation.encoding import HEADERS, Incoming
from mesh_gateway.federation.terms import Terms, read_terms, terms_headers
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
from mesh_gateway.wire import http
from tests.properties.test_wire import events, headers_of

LIMITS = http.Limits()
LANE = Lane("eu", "shop/to-us", "18f2c0")

passed_headers = st.dictionaries(
    st.sampled_from(["traceparent", "tracestate", "baggage", "x-request-id", "x-b3-traceid", "knative-a"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    max_size=4,
)


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    gaps = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    number, numbered = draw(st.integers(0, 10**12)), []
    for gap in gaps:
        number += gap
        event = draw(events())
        data = draw(st.sampled_from([event.data, None, b"", b'{"a": [1, 2.0]}', b"\xff\x00"]))
        numbered.append(
            Numbered(
                number,
                Event(event.attributes, data, event.kinds, draw(st.none() | passed_headers) or None),
            )
        )
    return Transfer(LANE, draw(st.integers(0, number)), tuple(numbered))


def request(transfer: Transfer, *, gzip: bool = False) -> tuple[dict[bytes, bytes], bytes]:
    lines, body = encoding.encode(transfer, gzip=gzip)
    return dict(headers_of(lines)), body


def transfer(*given: Event) -> Transfer:
    return Transfer(LANE, 0, tuple(Numbered(n, one) for n, one in enumerate(given, 1)))


def event(id: str = "1", data: bytes | None = b"{}", **attributes: str) -> Event:
    return Event.new(
        type="t", source="/s", id=id, data=data, datacontenttype="application/json", **attributes
    )


def read(fields: dict[bytes, bytes], body: bytes, limits: http.Limits = LIMITS) -> Incoming:
    return encoding.decode(fields, body, "eu", limits)


# ── what is written is read again ────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(transfers(), st.booleans())
def test_a_transfer_is_read_as_it_was_written(written: Transfer, gzip: bool):
    incoming = read(*request(written, gzip=gzip))

    assert incoming.unreadable == {}
    assert incoming.transfer == written
    for (_, before), (_, after) in zip(written.events, incoming.transfer.events, strict=True):
        assert after.headers == before.headers


verdicts = st.sampled_from([None, ACCEPTED, DUPLICATE, LOOPED]) | st.builds(
    Verdict,
    st.just(Word.REFUSED),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=WHY_LENGTH),
    st.none(),  # a status and a body are those of a single event, and cross no link
    st.just(b""),
)


@given(st.lists(verdicts, max_size=20))
def test_verdicts_are_read_as_they_were_written(written: list[Verdict | None]):
    assert answers.decode_verdicts(answers.encode_verdicts(written), len(written)) == written


@given(st.integers(1, 10**9), st.integers(1, 10**12))
def test_terms_are_read_as_they_were_written(most_events: int, most_bytes: int):
    terms = Terms("us/shop/orders", most_events, most_bytes)
    headers = {name.encode(): value.encode() for name, value in terms_headers(terms)}

    assert read_terms(headers) == terms


@given(st.lists(st.integers(1, 10**14), min_size=1, max_size=30))
def test_numbers_in_any_order_are_written_as_ranges(numbers: list[int]):
    assert ranges.numbers(ranges.ranges(numbers), len(numbers)) == numbers


def test_the_arrival_time_of_the_sender_stays_with_it():
    incoming = read(*request(transfer(event(knativearrivaltime="2026-01-01T00:00:00Z"))))

    assert "knativearrivaltime" not in incoming.transfer.events[0].event.attributes


# ── what somebody else wrote ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"mesh-floor", b""),
        (b"mesh-floor", b"-1"),
        (b"mesh-floor", b"1e3"),
        (b"mesh-floor", b"1" * 16),
        (b"mesh-relay", b""),
        (b"mesh-relay", b"a" * 161),
        (b"mesh-epoch", b"\xff"),
        (b"mesh-numbers", b""),
        (b"mesh-numbers", b"1"),
        (b"mesh-numbers", b"1-3"),
        (b"mesh-numbers", b"0-1"),
        (b"mesh-numbers", b"2-1"),
        (b"mesh-numbers", b"1,,2"),
        (b"mesh-numbers", b"1-2-3"),
        (b"mesh-numbers", b"1-999999999999999"),
        (b"mesh-numbers", b"1, 2"),
        (b"content-encoding", b"br"),
    ],
)
def test_a_transfer_with_a_wrong_header_is_none_and_the_header_is_named(name: bytes, value: bytes):
    fields, body = request(transfer(event("1"), event("2")))

    with pytest.raises(InvalidEvent, match=name.decode()):
        read({**fields, name: value}, body)


@pytest.mark.parametrize("missing", [b"mesh-floor", b"mesh-relay", b"mesh-epoch", b"mesh-numbers"])
def test_a_transfer_without_a_header_is_none_and_the_header_is_named(missing: bytes):
    fields, body = request(transfer(event()))
    del fields[missing]

    with pytest.raises(InvalidEvent, match=missing.decode()):
        read(fields, body)


def test_another_version_is_no_fault_of_the_events():
    fields, body = request(transfer(event()))

    with pytest.raises(UnsupportedMediaType, match="reads version 1"):
        read({**fields, b"mesh-transfer": b"2"}, body)


def test_a_floor_above_its_own_numbers_is_read_and_loses_nothing_of_this_transfer():
    fields, body = request(transfer(event()))

    assert read({**fields, b"mesh-floor": b"999"}, body).transfer.floor == 999


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[1", b"[1]]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_batch_is_no_transfer(body: bytes):
    fields, _ = request(transfer(event()))

    with pytest.raises(InvalidEvent):
        read(fields, body)


def test_members_that_cannot_be_read_are_refused_in_their_places_and_harm_no_other():
    fields, _ = request(transfer(event("1"), event("2"), event("3"), event("4")))
    member = json.dumps({"specversion": "1.0", "type": "t", "source": "/s", "id": "2"}).encode()

    incoming = read(fields, b'[1, %b, {"id": "x"}, "\xc3\xa9"]' % member)
    whole = incoming.whole([ACCEPTED])

    assert [one.number for one in incoming.transfer.events] == [2]
    assert [verdict and verdict.word for verdict in whole] == [
        Word.REFUSED, Word.ACCEPTED, Word.REFUSED, Word.REFUSED,
    ]  # fmt: skip
    assert "type" in str(whole[2])


def test_an_event_over_the_limit_of_events_is_refused_in_its_place():
    fields, body = request(transfer(event("1"), event("2", b'"' + b"x" * 2_000 + b'"'), event("3")))

    incoming = read(fields, body, replace(LIMITS, max_event_bytes=1_000))
    whole = incoming.whole([ACCEPTED, LOOPED])

    assert whole[0] is ACCEPTED
    assert whole[2] is LOOPED
    assert whole[1] == Verdict(Word.REFUSED, "has 2002 bytes, the limit is 1000 an event")


@pytest.mark.parametrize("data", [b"\x00" * 1_000, b"\xff" * 1_000])
@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain"])
def test_an_event_as_large_as_a_producer_may_send_may_cross_although_json_makes_it_longer(
    data: bytes, content_type: str
):
    largest = Event.new(type="t", source="/s", id="1", data=data, datacontenttype=content_type)
    limits = replace(LIMITS, max_event_bytes=len(data))

    incoming = read(*request(transfer(largest)), limits)

    assert incoming.unreadable == {}
    assert incoming.transfer.events[0].event == largest


def test_more_events_than_the_limit_are_too_large():
    fields, body = request(transfer(*(event(str(n)) for n in range(4))))

    with pytest.raises(EventTooLarge, match="limit is 3"):
        read(fields, body, replace(LIMITS, max_batch_events=3))


def test_a_body_that_unpacks_to_more_than_the_limit_is_too_large_and_is_never_unpacked_whole():
    fields, _ = request(transfer(event()), gzip=True)
    bomb = gzip.compress(b" " * 5_000_000)

    with pytest.raises(EventTooLarge, match="more than 1000 bytes"):
        read(fields, bomb, replace(LIMITS, max_batch_bytes=1_000))


@pytest.mark.parametrize("damage", ["torn", "followed", "plain", "deflate", "empty"])
def test_a_damaged_coding_is_no_transfer(damage: str):
    fields, body = request(transfer(event()), gzip=True)
    plain = request(transfer(event()))[1]
    bodies = {
        "torn": body[:-4],
        "followed": body + b"x",
        "plain": plain,
        "deflate": zlib.compress(plain),
        "empty": b"",
    }

    with pytest.raises(InvalidEvent, match="content-encoding"):
        read(fields, bodies[damage])


@given(st.binary(max_size=200))
def test_random_bytes_are_a_transfer_or_an_error_of_the_sender(body: bytes):
    fields, _ = request(transfer(event()))
    for coding in (b"", b"gzip"):
        with pytest.raises((InvalidEvent, EventTooLarge)):
            read({**fields, b"content-encoding": coding}, body)


def test_only_headers_that_travel_with_events_may_come_with_an_event():
    fields, _ = request(transfer(event()))
    given = {
        "traceparent": "00-1",
        "Authorization": "Bearer x",
        "content-length": "5",
        "x-b3-a\r\nhost": "evil",
        "baggage": "a\r\nhost: evil",
    }
    member = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", HEADERS: json.dumps(given)}

    incoming = read(fields, json.dumps([member]).encode())

    [(_, came)] = incoming.transfer.events
    assert came.headers == {"traceparent": "00-1"}
    assert HEADERS not in came.attributes


# ── answers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"verdicts": {}}',
        b'{"verdicts": ["accepted", "accepted"]}',
        b'{"verdicts": ["stored"]}',
        b'{"verdicts": [true]}',
        b'{"verdicts": [{"refused": 1}]}',
        b'{"verdicts": [{"because": "x"}]}',
        b'{"verdicts": ["\xff"]}',
        b'{"verdicts": ["\\ud800"]}',
        b'{"verdicts": ' + b"[" * 100_000,
        b'{"verdicts": [' + b"[" * 5_000 + b"]" * 5_000 + b"]}",
        b'{"a": ' * 10_000,
    ],
)
def test_an_answer_without_a_verdict_for_each_event_is_none(body: bytes):
    assert answers.decode_verdicts(body, 1) is None


@given(st.binary(max_size=100))
def test_random_bytes_are_no_verdicts(body: bytes):
    assert answers.decode_verdicts(body, 1) is None


def test_what_else_a_later_version_says_beside_its_verdicts_is_passed_over():
    body = b'{"watermark": 12, "verdicts": ["accepted", {"refused": "x", "code": "y"}]}'

    assert answers.decode_verdicts(body, 2) == [ACCEPTED, Verdict(Word.REFUSED, "x")]


def test_reasons_are_short_enough_for_any_answer():
    body = answers.encode_verdicts([Verdict(Word.REFUSED, "x" * 10_000)])

    assert answers.decode_verdicts(body, 1) == [Verdict(Word.REFUSED, "x" * WHY_LENGTH)]


@pytest.mark.parametrize(
    "said",
    [b"", b"2; events=1; bytes=1", b"1", b"1; events=1", b"1; events=; bytes=1", b"1; events=-1; bytes=1",
     b"1; events=1; bytes=" + b"9" * 16],
)  # fmt: skip
def test_terms_of_another_version_or_without_limits_are_none(said: bytes):
    assert read_terms({b"mesh-transfer": said, b"mesh-place": b"us/shop/orders"}) is None


def test_terms_without_a_place_are_none_and_those_without_room_have_some():
    assert read_terms({b"mesh-transfer": b"1; events=1; bytes=1"}) is None
    assert read_terms(
        {b"mesh-transfer": b"1;events=0;bytes=0;later=x", b"mesh-place": b"us/shop/orders"}
    ) == Terms("us/shop/orders", 1, 1)
