"""Good requests with a few things done to them: refused, or taken for exactly what they still are."""

from __future__ import annotations

import random
import re

import pytest

from mesh_gateway.event import Event
from tests.ingress.attacks import HIDDEN
from tests.ingress.mutants import GOOD, mutant, smuggled
from tests.ingress.serving import Served, event, serving

MUTANTS = 2_000
SEEDS = range(20)


async def sent(served: Served, raw: bytes) -> list[int]:
    """Everything that is answered to these bytes, and to the end of the client's side behind them."""
    async with served.client() as client:
        client.send(raw)
        client.writer.write_eof()
        said = await client.rest()
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 ([0-9]{3}) ", said, re.MULTILINE)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_mutant_is_refused_or_taken_for_what_it_is_and_smuggles_nothing(seed: int) -> None:
    chance = random.Random(seed)
    async with serving() as served:
        for _ in range(MUTANTS // len(SEEDS)):
            raw = mutant(chance)
            served.broker.events.clear()
            statuses = await sent(served, raw)
            assert [status for status in statuses if status >= 500 or 300 <= status < 400] == [], raw
            assert smuggled(served.broker.events, raw) == [], raw
        await served.listener.closed()
        assert served.endpoint.in_hand.bytes == 0
        assert served.endpoint.in_hand.requests == 0


IDS = ("1", "12", "12", "12", "1", "1", "1", "1", "1234", "", "1", "1", "1smuggled")
"""The ids that the good requests store, in their order. The last one's chunked body ends before a request of its own."""


async def test_what_nothing_was_done_to_is_stored_whole() -> None:
    """Else the reading that judges mutants could be empty, and every mutant innocent."""
    async with serving() as served:
        for raw, ids in zip(GOOD, IDS, strict=True):
            served.broker.events.clear()
            await sent(served, raw)
            assert "".join(served.broker.ids) == ids
            assert smuggled(served.broker.events, raw) == []


def test_the_reading_tells_a_smuggled_event() -> None:
    raw = event("1", HIDDEN)

    assert [one.id for one in smuggled([stored("1", HIDDEN), stored("smuggled", b"{}")], raw)] == ["smuggled"]
    assert smuggled([stored("1", HIDDEN)], raw) == []
    assert len(smuggled([stored("1", b"{}")], raw)) == 1


def stored(id: str, data: bytes) -> Event:
    return Event.new(type="t", source="/s", id=id, data=data)
