"""What the state machines here share: coroutines run without a loop, and the proof that a machine finds a bug."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

T = TypeVar("T")

THOROUGH = settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
"""For each machine in the suite: a few seconds, and the same examples each time, so that a change is judged by what it
changes."""

SEEDED = settings(
    max_examples=3_000,
    stateful_step_count=80,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
"""To find a bug that is known to be there: the same examples each time, and no smaller one is looked for. Twice as long as in the
suite: a copy that overtakes a parked one was met in one of 994, and in none of 3,000 of 40 steps."""


def assert_found(machine: type[RuleBasedStateMachine]) -> None:
    """The machine fails: what the test has broken is noticed."""
    with pytest.raises((AssertionError, LookupError)):
        run_state_machine_as_test(machine, settings=SEEDED)


class Held:
    """What a coroutine waits for until the test says how that ends."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Steps:
    """A coroutine that a test drives by hand: it runs until it waits, and no loop is there."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.waits = self._step(lambda: self._coroutine.send(None))

    def go_on(self) -> None:
        """What it waits for has come."""
        self.waits = self._step(lambda: self._coroutine.send(None))

    def cancel(self) -> None:
        """It is cancelled where it waits, and must end by that."""
        with pytest.raises(asyncio.CancelledError):
            self._coroutine.throw(asyncio.CancelledError())
        self.waits = False

    def fail(self, error: Exception) -> None:
        """What it waits for fails, and so must it."""
        with pytest.raises(type(error)):
            self._coroutine.throw(error)
        self.waits = False

    def _step(self, step: Any) -> bool:
        try:
            step()
        except StopIteration:
            return False
        return True


class LoopMachine(RuleBasedStateMachine):
    """A machine with an event loop of its own, which runs only inside of its rules."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What it gives in the end."""
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        self.loop.close()
