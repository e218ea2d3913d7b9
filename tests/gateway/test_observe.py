"""Observers hear what is new, once; one that fails is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

from mesh_gateway.delivery.counters import TriggerCounters
from mesh_gateway.gateway.observe import Observers


class Recorder:
    def __init__(self) -> None:
        self.heard: list[Mapping[str, int]] = []

    def observe(self, counts: Mapping[str, int]) -> None:
        self.heard.append(counts)


class Failing:
    calls = 0

    def observe(self, counts: Mapping[str, int]) -> None:
        Failing.calls += 1
        raise RuntimeError("boom")


def test_only_what_is_new_is_told_and_a_failing_observer_is_not_asked_again():
    counters = TriggerCounters()
    trigger = SimpleNamespace(key="ns/t", counters=counters)
    broker = SimpleNamespace(counters=SimpleNamespace(accepted=2))
    home = SimpleNamespace(spec=SimpleNamespace(key="ns/b"), broker=broker, triggers=[trigger])
    recorder = Recorder()
    observers = Observers([Failing(), recorder], SimpleNamespace(homes=lambda: [home]))  # type: ignore[arg-type]

    observers.tell()
    observers.tell()
    counters.delivered += 3
    observers.tell()

    assert recorder.heard == [{"accepted ns/b": 2}, {"delivered ns/t": 3}]
    assert Failing.calls == 1
