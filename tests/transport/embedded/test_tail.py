"""The newest events in memory: bounded, dense, in order."""

from __future__ import annotations

from mesh_gateway.event import Event
from mesh_gateway.transport.embedded import tail as room
from mesh_gateway.transport.embedded.tail import Tail


def events(count: int) -> list[Event]:
    return [Event.new(type="t", source="/s", id=str(n)) for n in range(count)]


def held(tail: Tail) -> list[int]:
    return [number for number, _, _ in tail.slice(tail.first, 10_000)]


def test_a_slice_has_numbers_moments_and_events():
    tail = Tail(5)
    one, two, three = events(3)
    tail.extend([one, two], [10, 10], 1.5)
    tail.extend([three], [10], 2.5)

    assert tail.slice(6, 10) == [(6, 1.5, two), (7, 2.5, three)]
    assert tail.slice(5, 1) == [(5, 1.5, one)]


def test_it_holds_a_bounded_number_of_events(monkeypatch):
    monkeypatch.setattr(room, "TAIL_EVENTS", 3)
    tail = Tail(1)

    tail.extend(events(5), [1] * 5, 0.0)

    assert held(tail) == [3, 4, 5]


def test_it_holds_a_bounded_number_of_bytes(monkeypatch):
    monkeypatch.setattr(room, "TAIL_BYTES", 100)
    tail = Tail(1)

    tail.extend(events(4), [60, 30, 30, 40], 0.0)
    assert held(tail) == [2, 3, 4]

    tail.extend(events(1), [101], 0.0)
    assert (held(tail), tail.first) == ([], 6)


def test_what_everybody_has_had_is_dropped_and_no_more():
    tail = Tail(1)
    tail.extend(events(4), [1] * 4, 0.0)

    tail.drop_before(3)
    assert held(tail) == [3, 4]
    tail.drop_before(1)
    assert held(tail) == [3, 4]
    tail.drop_before(9)
    assert (held(tail), tail.first) == ([], 5)
