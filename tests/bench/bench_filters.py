"""Which of N triggers want an event: the index against asking every filter, CPU µs per event.

The mix is that of busy brokers: 55 % exact type, 30 % type and source, 10 % prefixes and suffixes, 5 % CESQL
(a fifth of these without anything to index); four triggers share a type.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import Filter, parse
from mesh_gateway.filters.index import FilterIndex
from tests.bench.rows import Row, Sample
from tests.bench.sitting import Sitting

EVENTS = 400
SECONDS = 0.12
"""CPU time of one measurement, so that all of them take about four seconds."""

Match = Callable[[Event], Sequence[int]]


def run(sitting: Sitting) -> Iterator[Row]:
    """Both ways for 1, 100 and 1,000 triggers."""
    ways: list[tuple[str, Match, list[Event]]] = []
    for count in (1, 100, 1_000):
        filters, events = mix(count)
        ways.append((f"filters: {count} triggers, index", FilterIndex(filters).match, events))
        ways.append((f"filters: {count} triggers, naive", naive(filters), events))

    def once() -> list[Sample]:
        with sitting.watched(os.getpid(), "filters"):
            return [
                Sample(what, per_event(match, events), note=matches(match, events))
                for what, match, events in ways
            ]

    yield from sitting.rows(once)


def matches(match: Match, events: Sequence[Event]) -> str:
    """How many filters want an event."""
    return f"{sum(len(match(event)) for event in events) / len(events):.1f} match"


def naive(filters: Sequence[Filter]) -> Match:
    """Every filter is asked."""
    return lambda event: [index for index, one in enumerate(filters) if one.matches(event)]


def per_event(match: Match, events: Sequence[Event]) -> float:
    """CPU µs of one `match`, warmed."""
    for event in events:
        match(event)
    begin = now = time.process_time()
    rounds = 0
    while now - begin < SECONDS:
        for event in events:
            match(event)
        rounds += 1
        now = time.process_time()
    return (now - begin) / (rounds * len(events)) * 1e6


def mix(count: int) -> tuple[list[Filter], list[Event]]:
    """`count` filters and events for them, the same at every run."""
    chance = random.Random(7)
    kinds = ("order", "user", "pay", "stock")
    ends = ("created", "deleted", "updated")
    types = [
        f"com.example.{chance.choice(kinds)}.k{i}.{chance.choice(ends)}" for i in range(max(4, count // 4))
    ]
    sources = [f"/shop/{chance.choice(('eu', 'us'))}/svc{i}" for i in range(50)]
    filters = [parse([_document(i, count, types, sources, chance)]) for i in range(count)]
    events = [
        Event.new(
            type=chance.choice(types),
            source=chance.choice(sources),
            id=f"x{i}",
            subject=f"order/{chance.randrange(500)}",
            tenant=chance.choice(("acme", "umbrella", "t1", "t2")),
        )
        for i in range(EVENTS)
    ]
    return filters, events


def _document(
    i: int, count: int, types: list[str], sources: list[str], chance: random.Random
) -> dict[str, Any]:
    type = chance.choice(types)
    share = i / count if count > 1 else 0.0
    if share < 0.55:
        return {"exact": {"type": type}}
    if share < 0.85:
        return {"exact": {"type": type, "source": chance.choice(sources)}}
    if share < 0.92:
        return {"prefix": {"type": ".".join(type.split(".")[:4]) + "."}}
    if share < 0.95:
        return {"all": [{"suffix": {"type": type[-14:]}}, {"prefix": {"source": "/shop/eu"}}]}
    if i % 5:
        return {"cesql": f"type = '{type}' AND (subject LIKE 'order/%' OR tenant IN ('acme', 'umbrella'))"}
    return {"cesql": f"subject LIKE 'order/%7' AND NOT (tenant IN ('acme', 'umbrella', 't{i % 90}'))"}
