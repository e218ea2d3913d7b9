"""A head that the native part reads is read as in Python, to the last attribute; all others it leaves alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway import native
from mesh_gateway.event import Event
from mesh_gateway.ingress import protocol
from mesh_gateway.ingress.framing import read_head
from mesh_gateway.ingress.limits import IngressLimits
from mesh_gateway.ingress.peers import TRANSFER
from mesh_gateway.wire import http
from tests.faults.scale import scaled
from tests.ingress.memory import Home, Recorder, Wire
from tests.ingress.serving import event
from tests.native.requests import EXPLICIT_REQUEST, NAMES, USUAL, VALUES, mutant, requests

plain_head = native.PARTS.plain_head
pytestmark = pytest.mark.skipif(plain_head is None, reason=str(native.PARTS))

LIMITS = IngressLimits()
WIRE_LIMITS = http.Limits()
ASKED_FOR = {b"k-network-probe", b"authorization", TRANSFER}
"""Fields that the endpoint looks at; a plain head has none of them."""


def shown(event: Event) -> tuple[Any, ...]:
    """All there is to an event, in its order."""
    return (
        list(event.attributes.items()),
        event.data,
        event.kinds,
        event.headers and list(event.headers.items()),
    )


def is_plain(raw: bytes, at: int = 0, limits: IngressLimits = LIMITS) -> bool:
    """Whether the native part reads the head there. If it does, it has read what Python reads, and nothing that
    Python refuses or treats in a way of its own.
    """
    assert plain_head is not None
    plain = plain_head(raw, at, min(limits.max_header_bytes, limits.max_headers_bytes), limits.max_headers)
    if plain is None:
        return False
    assert plain.end == raw.index(b"\r\n\r\n", at) + 4
    read = read_head(raw[at : plain.end], limits)
    for name in ("method", "target", "keep_alive", "length", "chunked", "expects"):
        assert getattr(plain, name) == getattr(read, name), name
    assert not ASKED_FOR & read.fields.keys()
    assert not read.fields.get(b"user-agent", b"").startswith(b"kube-probe/")
    assert http.mode(read.fields.get(b"content-type")) == "binary"
    assert plain.fields == {}
    body = raw[plain.end : plain.end + plain.length]
    [event] = http.decode(read.headers, body, WIRE_LIMITS)
    assert shown(http.plain(plain.attributes, body, plain.passed, WIRE_LIMITS)) == shown(event)
    return True


def conversation(pieces: Sequence[bytes]) -> tuple[Any, ...]:
    """Everything that is answered, stored and counted when bytes come in these pieces."""
    broker = Recorder()
    home = Home(broker)
    connection = protocol.Connection(home)
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        connection.data_received(piece)
        broker.finish()
    if not wire.ended:
        connection.eof_received()
    broker.finish()
    connection.connection_lost(None)
    counters = home.counters
    counted = (counters.accepted, counters.refused, counters.responses, counters.abandoned, counters.late)
    return wire.written, wire.ended, [shown(event) for event in broker.events], counted


def both(pieces: Sequence[bytes]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    with pytest.MonkeyPatch.context() as patch:
        natively = conversation(pieces)
        patch.setattr(protocol, "plain_head", None)
        return natively, conversation(pieces)


@pytest.mark.parametrize("raw", USUAL)
def test_the_usual_request_is_read(raw: bytes):
    assert is_plain(raw)
    assert is_plain(b"\0" + raw, 1)


def test_a_byte_put_for_another_is_read_as_in_python_or_left_alone():
    raw = EXPLICIT_REQUEST

    left_alone = sum(
        not is_plain(raw[:at] + bytes((byte,)) + raw[at + 1 :])
        for at in range(raw.index(b"\r\n\r\n") + 4)
        for byte in range(256)
    )

    assert left_alone > 10_000


def test_a_request_that_is_cut_off_anywhere_is_left_alone():
    for raw in USUAL:
        for end in range(raw.index(b"\r\n\r\n") + 4):
            assert not is_plain(raw[:end])


def test_a_head_that_comes_in_many_pieces_is_looked_at_once(monkeypatch: pytest.MonkeyPatch):
    raw = USUAL[0]
    seen: list[bytes] = []
    monkeypatch.setattr(protocol, "plain_head", lambda buffer, *_: seen.append(buffer))

    told = conversation([raw[at : at + 1] for at in range(len(raw))] + [raw])

    assert told[0].count(b"HTTP/1.1 202") == 2
    assert seen == [raw[:1], raw]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_more_or_another_is_read_as_in_python_or_left_alone(name: str):
    first, *rest = EXPLICIT_REQUEST.split(b"\r\n")
    for value in VALUES:
        line = f"{name}: {value}".encode("latin-1")
        for at in (0, len(rest) - 2):
            is_plain(b"\r\n".join([first, *rest[:at], line, *rest[at:]]))
        others = [one for one in rest if not one.lower().startswith(name.lower().encode() + b":")]
        is_plain(b"\r\n".join([first, line, *others]))
        is_plain(b"\r\n".join([first, line, line, *others]))


@given(requests())
def test_a_request_that_is_almost_usual_is_read_as_in_python_or_left_alone(raw: bytes):
    is_plain(raw)


@given(requests(), st.integers(0, 9), st.integers(0, 400), st.integers(1, 400))
def test_limits_are_those_of_python(raw: bytes, count: int, longest: int, whole: int):
    is_plain(raw, limits=IngressLimits(max_headers=count, max_header_bytes=longest, max_headers_bytes=whole))


def test_as_many_headers_are_passed_on_as_in_python():
    def passing(count: int) -> bytes:
        return event("1", b"x", *(f"knative-{number}: {number}" for number in range(count)))

    assert is_plain(passing(http.MAX_PASSED))
    assert not is_plain(passing(http.MAX_PASSED + 1))


@pytest.mark.parametrize("raw", USUAL)
def test_what_is_at_a_limit_is_read_and_what_is_over_it_left_alone(raw: bytes):
    size, count = raw.index(b"\r\n\r\n") + 4, raw[: raw.index(b"\r\n\r\n")].count(b"\r\n")

    assert is_plain(
        raw, limits=IngressLimits(max_headers=count, max_header_bytes=size, max_headers_bytes=size)
    )
    assert not is_plain(raw, limits=IngressLimits(max_headers=count - 1))
    assert not is_plain(raw, limits=IngressLimits(max_header_bytes=size - 1))
    assert not is_plain(raw, limits=IngressLimits(max_headers_bytes=size - 1))


@pytest.mark.parametrize("at", [-1, -(2**62), 10**6, 2**62])
def test_a_place_outside_the_buffer_holds_no_head(at: int):
    assert not is_plain(USUAL[0], at)


@pytest.mark.parametrize("seed", range(scaled(4, 40)))
def test_mutants_are_answered_stored_and_counted_as_in_python(seed: int):
    chance = random.Random(seed)
    read = 0
    for _ in range(500):
        raw = mutant(chance) + chance.choice((b"", *USUAL))
        cut = chance.randrange(len(raw) + 1)
        read += is_plain(raw)

        natively, in_python = both([piece for piece in (raw[:cut], raw[cut:]) if piece])

        assert natively == in_python, raw
    assert 50 < read < 450


def test_names_that_keep_changing_are_all_read():
    usual = event().partition(b"ce-id")
    for number in range(2_000):
        assert is_plain(usual[0] + b"ce-x%d: %d\r\n" % (number, number) + b"".join(usual[1:]))
