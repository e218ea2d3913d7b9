"""A plugin's sink that breaks its promises: its own trigger retries, all others never notice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.delivery.sink import ACCEPTED, Ended, Outcome
from mesh_gateway.event import Event
from mesh_gateway.gateway import contained
from mesh_gateway.gateway.contained import Contained
from mesh_gateway.testing.fakes import ScriptedSink
from mesh_gateway.topology.spec import PluginDestination
from mesh_gateway.transport.hooks import SinkKind
from mesh_gateway.transport.plugins import load_plugins
from tests.gateway.reloading import gateway, running, trigger
from tests.harness import Subscriber

EVENT = Event.new(type="t", source="/s", id="1")


class Broken:
    """Raises wherever it is asked."""

    def __init__(self, uri: str) -> None:
        self.address = uri

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        raise ZeroDivisionError

    async def close(self) -> None:
        raise ZeroDivisionError


class Hanging(ScriptedSink):
    """Never closes, nor ends what it was given."""

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_sink_that_raises_costs_its_own_trigger_a_dead_letter_and_its_neighbours_nothing(
    tmp_path: Path,
):
    found = load_plugins([])
    found.sinks["broken"] = SinkKind("broken", "tests.gateway.test_contained:Broken")
    async with Subscriber() as subscriber:
        broken = replace(trigger("x", "http://x/"), destination=PluginDestination("broken:"))
        async with running(gateway(tmp_path, trigger("a", subscriber.url), broken), found) as rig:
            counters = rig.mesh.parts.triggers["ns/x"].counters
            await rig.send("1", "2")
            await rig.until(lambda: counters.stored_dead_letters == 2)

            assert counters.retried == 6
            assert sorted(request.headers["ce-id"] for request in subscriber.requests) == ["1", "2"]
            assert {part.state for part in rig.mesh.supervised.values()} == {"running"}
    assert {part.state for part in rig.mesh.supervised.values()} == {"stopped"}


async def test_only_the_first_end_of_an_attempt_counts():
    inner, ends = ScriptedSink(), list[Outcome]()
    Contained(inner).send(EVENT, "context", lambda context, outcome: ends.append(outcome))
    (attempt,) = inner.attempts
    attempt.end(ACCEPTED)
    attempt.end(ACCEPTED)

    assert ends == [ACCEPTED]


async def test_what_a_sink_that_hangs_does_not_end_is_ended_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(contained, "CLOSE_SECONDS", 0.01)
    ends: list[Outcome] = []
    sink = Contained(Hanging())
    sink.send(EVENT, "context", lambda context, outcome: ends.append(outcome))
    await sink.close()

    assert [getattr(outcome, "why", "") for outcome in ends] == ["closed"]
