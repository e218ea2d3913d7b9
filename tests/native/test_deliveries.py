"""A request that the native part writes has the bytes that Python writes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mesh_gateway import native
from mesh_gateway.delivery import http
from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.reply import TTL
from mesh_gateway.event import Event
from tests.faults.scale import scaled
from tests.native.deliveries import FIRST, USUAL_EVENT, event

binary_request = native.PARTS.binary_request
pytestmark = pytest.mark.skipif(binary_request is None, reason=str(native.PARTS))


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> HttpSink:
    """One that writes all of it in Python."""
    monkeypatch.setattr(http, "binary_request", None)
    return HttpSink(HttpSettings("http://127.0.0.1:1/", headers=(("x", "y"),)))


def is_plain(sink: HttpSink, event: Event) -> bool:
    """Whether the native part writes this event; if it does, as Python writes it."""
    assert binary_request is not None
    written = binary_request(
        sink._head, event.attributes, event.headers, TTL, event.data, http.MAX_BINARY_HEAD
    )
    if written is None:
        return False
    assert written == sink.request(event)
    return True


def test_the_usual_event_is_written(sink: HttpSink):
    for data in (None, b"", b"x", b"\r\n" * 1_000):
        for headers in (None, {}, USUAL_EVENT.headers):
            assert is_plain(sink, Event(USUAL_EVENT.attributes, data, None, headers))


def test_any_character_anywhere_is_written_as_in_python_or_left_alone(sink: HttpSink):
    letters = [chr(code) for code in [*range(0x180), 0x20AC, 0xD800, 0xFFFF, 0x1F600]]
    left_alone = 0
    for name in (*USUAL_EVENT.attributes, "x"):
        for letter in letters:
            for value in (letter, f"a{letter}", f"{letter}a"):
                left_alone += not is_plain(sink, Event({**USUAL_EVENT.attributes, name: value}))
                left_alone += not is_plain(sink, Event(USUAL_EVENT.attributes, None, None, {"x-b3-a": value}))
    for letter in letters:
        left_alone += not is_plain(sink, Event({**USUAL_EVENT.attributes, f"a{letter}": "b"}))

    assert left_alone > 10_000


def test_lines_up_to_the_limit_are_written_and_longer_ones_left_to_structured_mode(sink: HttpSink):
    room = http.MAX_BINARY_HEAD - sum(len(line) for line in ("ce-a: \r\n", "ce-b: \r\n"))

    assert is_plain(sink, Event({"a": "x" * room, "b": ""}))
    assert not is_plain(sink, Event({"a": "x" * room, "b": "y"}))
    assert is_plain(sink, Event({"a": "x" * room, "b": "", TTL: "9" * 9_000}))
    assert not is_plain(sink, Event({"a": "x" * room}, None, None, {"traceparent": "a"}))


def test_what_a_codec_never_gives_is_left_alone(sink: HttpSink):
    odd: Any
    assert binary_request is not None
    for odd in (None, 5, b"a", ["a"], type("Text", (str,), {})("a")):
        assert binary_request(FIRST, {"a": odd}, None, TTL, b"", 100) is None
        assert binary_request(FIRST, {odd: "a"} if odd != ["a"] else odd, None, TTL, b"", 100) is None
        assert binary_request(FIRST, {"a": "b"}, {"a": odd}, TTL, b"", 100) is None
    odd = bytearray(b"x")
    assert binary_request(FIRST, {"a": "b"}, None, TTL, odd, 100) is None


@pytest.mark.parametrize("seed", range(scaled(4, 40)))
def test_generated_events_are_written_as_in_python_or_left_alone(sink: HttpSink, seed: int):
    chance = random.Random(seed)

    written = sum(is_plain(sink, event(chance)) for _ in range(500))

    assert 50 < written < 450
