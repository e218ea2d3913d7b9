"""A trigger whose sink, channels and clock are in the test's hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.delivery.waiting import marked
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.delivery.window import Window
from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.testing.fakes import ScriptedSink
from mesh_gateway.transport.batch import Done
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.embedded.transport import CAPABILITIES


class HandChannel:
    """A channel whose publishes the test lets end."""

    def __init__(self, name: str, max_batch: int = 1000) -> None:
        self.name = name
        self.transport = SimpleNamespace(capabilities=replace(CAPABILITIES, max_batch=max_batch))
        self.waiting: list[tuple[Event, Done]] = []
        self.stored: list[Event] = []
        self.by_itself = True
        self.error: MeshError | None = None

    def publish(self, event: Event, done: Done) -> None:
        self.waiting.append((event, done))
        if self.by_itself:
            self.end()

    def end(self) -> None:
        """Let the oldest publish end as `error` says."""
        event, done = self.waiting.pop(0)
        if self.error is None:
            self.stored.append(event)
        done(self.error)


class Rig:
    """A trigger and everything around it."""

    def __init__(
        self,
        *,
        window: Window = Window(),
        policy: RetryPolicy = RetryPolicy(),
        dead_letter_sink: ScriptedSink | None = None,
        hold_limits: tuple[float, float] = (float("inf"), float("inf")),
        max_batch: int = 1000,
    ) -> None:
        self.clock = ManualClock()
        begin = self.clock.time()
        self.jumped = 0.0
        self.sink = ScriptedSink()
        self.dead_letter_sink = dead_letter_sink
        self.parked = HandChannel("ns/b:parked:t", max_batch)
        self.letters = HandChannel("ns/b:dead-letters")
        self.broker = HandChannel("ns/b")
        self.gate = Gate()
        self.watches = Watches()
        self.finished: list[str] = []
        self.trigger = Trigger(
            key="ns/t",
            cluster="here",
            broker="ns/b",
            sink=self.sink,
            dead_letter_sink=dead_letter_sink,
            policy=policy,
            window=window,
            parked=self.parked,  # type: ignore[arg-type]  # the part of a Channel that a trigger uses
            dead_letters=self.letters,  # type: ignore[arg-type]
            accept=self.broker.publish,
            gate=self.gate,
            clock=self.clock,
            watches=self.watches,
            chance=lambda: 0.5,
            hold_limits=hold_limits,
            now=lambda: 1_000_000 + self.jumped + self.clock.time() - begin,
        )
        self.trigger.parking.drained = True
        self.trigger.parking._store.begin()
        self.gate.let(self.trigger.parking)

    def offer(self, *names: str, key: str | None = None, data: bytes = b"") -> None:
        for name in names:
            extra = {} if key is None else {"partitionkey": key}
            event = Event.new(type="t", source="/s", id=name, data=data, **extra)
            self.trigger.offer(Delivery(event, token=name, position="0", pending=1), self.finish)

    def jump(self, seconds: float) -> None:
        """The wall clock jumps; the other one cannot."""
        self.jumped += seconds

    def parked_copy(self, name: str, seconds: float) -> Delivery:
        """A copy as it comes out of the parked channel: tried once, and due in so many seconds from now."""
        event = Event.new(type="t", source="/s", id=name)
        due = 1_000_000 + self.jumped + seconds
        return Delivery(marked(event, 1, due), token=name, position="0", pending=1)

    def finish(self, delivery: Delivery) -> None:
        assert delivery.event.id not in self.finished, "finished twice"
        self.finished.append(delivery.event.id)

    @property
    def open(self) -> Sequence[str]:
        """Ids of the attempts under way."""
        return [attempt.event.id for attempt in self.sink.attempts]


@pytest.fixture
def rig() -> type[Rig]:
    return Rig
