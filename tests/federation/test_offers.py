"""Asking before sending: by which of several ways an event comes, and what happens when it does not come by that one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mesh_gateway.errors import EventTooLarge, InvalidEvent, UnsupportedMediaType
from mesh_gateway.federation import answers, encoding, offers
from mesh_gateway.federation.identity import DIGEST
from mesh_gateway.federation.offers import PATIENCE, Promises, wanted_part, with_unwanted
from mesh_gateway.federation.transfer import (
    ACCEPTED,
    UNWANTED,
    Lane,
    Offer,
    Transfer,
)
from mesh_gateway.gateway.doors import several_ways
from mesh_gateway.topology.spec import BrokerDestination, GatewaySpec, PeerSpec, RelaySpec, Secret
from mesh_gateway.wire import http
from tests.federation.test_remote import transfer

ONE, TWO, THREE = (bytes([n]) * DIGEST for n in (1, 2, 3))
EU, AP = Lane("eu", "shop/to-us", "1"), Lane("ap", "shop/to-us", "1")


def offer(lane: Lane, *identities: bytes) -> Offer:
    return Offer(lane, identities)


# ── promises ─────────────────────────────────────────────────────────────────────────────────


def test_what_is_durable_is_declined_and_all_else_is_wanted():
    assert Promises().answer(offer(EU, ONE, TWO), {ONE}, now=0) == [False, True]


def test_an_answer_waits_for_what_another_lane_was_asked_to_bring():
    promises = Promises()
    promises.answer(offer(EU, ONE), set(), now=0)

    assert promises.answer(offer(AP, ONE, TWO), set(), now=1) is None
    promises.came([ONE])
    assert promises.answer(offer(AP, ONE, TWO), {ONE}, now=1) == [False, True]


def test_what_came_and_could_not_be_stored_is_wanted_from_whoever_offers_it():
    promises = Promises()
    promises.answer(offer(EU, ONE), set(), now=0)
    promises.came([ONE])

    assert promises.answer(offer(AP, ONE), set(), now=1) == [True]


def test_a_promise_that_is_not_kept_in_time_binds_nobody():
    promises = Promises()
    promises.answer(offer(EU, ONE), set(), now=0)

    assert promises.answer(offer(AP, ONE), set(), now=PATIENCE - 0.1) is None
    assert promises.answer(offer(AP, ONE), set(), now=PATIENCE) == [True]


def test_a_lane_that_offers_anew_has_broken_its_promises_and_the_one_that_waits_comes_first():
    promises = Promises()
    promises.answer(offer(EU, ONE), set(), now=0)
    waiting = offer(AP, TWO, ONE)
    assert promises.answer(waiting, set(), now=1) is None

    assert promises.begin(EU)
    assert promises.answer(waiting, set(), now=2) == [True, True]
    assert promises.answer(offer(EU, ONE, TWO), set(), now=2) is None


def test_a_lane_that_asks_again_is_not_made_to_wait_again():
    promises = Promises()
    promises.answer(offer(EU, ONE), set(), now=0)

    assert promises.answer(offer(AP, ONE), set(), now=1, may_wait=False) == [True]
    assert not promises.begin(EU)


def test_a_promise_is_as_old_as_its_last_answer():
    promises = Promises()
    promises.answer(offer(EU, ONE), set(), now=0)
    promises.answer(offer(EU, ONE), set(), now=3)
    promises.answer(offer(EU, TWO), set(), now=4)

    assert promises.answer(offer(AP, ONE), set(), now=PATIENCE) is None


def test_the_oldest_promises_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(offers, "MOST_PROMISES", 1)
    promises = Promises()
    promises.answer(offer(EU, ONE, TWO), set(), now=0)

    assert promises.answer(offer(AP, TWO), set(), now=1) is None
    assert promises.answer(offer(AP, ONE), set(), now=1) == [True]


def test_the_wanted_part_keeps_its_numbers_and_the_rest_has_its_verdict():
    whole = transfer(3)
    wanted = [False, True, False]
    part = wanted_part(whole, wanted)

    assert part == Transfer(whole.lane, whole.floor, whole.events[1:2])
    assert with_unwanted(wanted, [ACCEPTED]) == [UNWANTED, ACCEPTED, UNWANTED]
    assert with_unwanted(wanted, [None]) == [UNWANTED, None, UNWANTED]


# ── on the wire ──────────────────────────────────────────────────────────────────────────────


def read(lines: bytes) -> dict[bytes, bytes]:
    return dict(line.split(b": ", 1) for line in lines.split(b"\r\n") if line)


@pytest.mark.parametrize("identities", [(), (ONE,), (ONE, TWO, THREE)])
def test_an_offer_is_read_as_it_was_written(identities: tuple[bytes, ...]):
    lines, body = encoding.encode_offer(offer(EU, *identities))

    assert encoding.decode_offer(read(lines), body, "eu", http.Limits()) == offer(EU, *identities)


@pytest.mark.parametrize("body", [ONE[:-1], ONE + b"x", b"x"])
def test_an_offer_with_half_an_identity_is_refused(body: bytes):
    with pytest.raises(InvalidEvent, match="torn"):
        encoding.decode_offer(read(encoding.encode_offer(offer(EU))[0]), body, "eu", http.Limits())


def test_who_reads_transfers_only_says_that_an_offer_is_of_another_version():
    fields = read(encoding.encode_offer(offer(EU))[0])
    assert encoding.is_offer(fields)
    with pytest.raises(UnsupportedMediaType):
        encoding.decode(fields, b"[]", "eu", http.Limits())


def test_an_offer_of_more_than_a_batch_may_have_is_too_large():
    limits = http.Limits(max_batch_events=2)
    lines, body = encoding.encode_offer(offer(EU, ONE, TWO, THREE))
    with pytest.raises(EventTooLarge, match="names 3 events, the limit is 2"):
        encoding.decode_offer(read(lines), body, "eu", limits)


def test_what_a_later_version_says_beside_it_is_passed_over():
    assert answers.decode_wanted(b'{"known": [1], "wanted": "2"}', 2) == [False, True]


@pytest.mark.parametrize("wanted", [[], [True], [False], [True, True, False, True], [False] * 5])
def test_an_answer_is_read_as_it_was_written(wanted: Sequence[bool]):
    assert answers.decode_wanted(answers.encode_wanted(wanted), len(wanted)) == list(wanted)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"wanted": ["1"]}',
        b'{"wanted": 1}',
        b'{"wanted": "0"}',
        b'{"wanted": "3"}',
        b'{"wanted": "1-3"}',
        b'{"wanted": "2-1"}',
        b'{"wanted": "all"}',
        b'{"wanted": "\\ud800"}',
        b"[" * 10_000,
    ],
)
def test_what_does_not_say_what_is_wanted_is_no_answer(body: bytes):
    assert answers.decode_wanted(body, 2) is None


# ── who asks for offers ──────────────────────────────────────────────────────────────────────


def peers(*brokers: str) -> tuple[PeerSpec, ...]:
    return tuple(
        PeerSpec(f"c{n}", Secret(f"t{n}"), brokers=tuple(one.split())) for n, one in enumerate(brokers)
    )


@pytest.mark.parametrize(
    ("peers", "inside", "several"),
    [
        (peers(), False, False),
        (peers(""), False, False),
        (peers("", ""), False, True),
        (peers("a/b", "a/c"), False, False),
        (peers("a/b", ""), False, True),
        (peers("a/b"), True, True),
        (peers("a/c"), True, False),
    ],
)
def test_a_broker_to_which_several_ways_lead_asks_for_offers(
    peers: tuple[PeerSpec, ...], inside: bool, several: bool
):
    relay = RelaySpec("a", "to-b", "a/d", BrokerDestination("a/b"))
    spec = GatewaySpec(cluster="us", peers=peers, relays={relay.key: relay} if inside else {})

    assert several_ways("a/b", spec) is several
