"""kill -9 at every write, send and sync of accepting, delivering and settling: nothing acknowledged is lost.

The n-th such call of a thread, n from 1 to as many as there are, each in a process of its own that has just taken up
what the one before has left. What is killed at a call has not made it, and all before it are made.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.every_end import EveryEnd, Lost, until
from tests.faults.figures import counts
from tests.faults.lawless import MUTANTS
from tests.faults.nursery import ForkedGateway, nursery
from tests.faults.scale import ALL
from tests.faults.strace import counted, injected, skip_without_strace
from tests.harness import PATIENCE

CALLS = ("fdatasync", "pwrite64", "write")
"""All that writes here: SQLite writes with `pwrite64` and syncs with `fdatasync`; what goes to sockets, to the log and
from one thread to another are `write`s. `test_nothing_else_writes` holds that."""

OTHERS = (
    "fsync",
    "sync",
    "sync_file_range",
    "pwritev",
    "pwritev2",
    "writev",
    "send",
    "sendto",
    "sendmsg",
    "sendmmsg",
)

POINTS = 30
"""How many of them are tried, spread over all; `make test-faults` (`MESH_FAULTS=all`) tries every one."""

LEAST_POINTS = 300
"""Fewer would mean that the work has become too small to say something."""

LAST_OF_ALL = 1.2
"""Seconds after which the gateway has written what it had put off: settles after 0.05, what is removed after 1."""


@pytest.mark.slow
async def test_killed_at_any_write_send_or_sync_it_has_lost_nothing_that_was_acknowledged(tmp_path: Path):
    skip_without_strace()
    async with sweeping(tmp_path) as sweep:
        await sweep.kill_at(sweep.points if ALL else sweep.some(POINTS))

        assert sweep.killed >= 0.8 * sweep.tried, f"only {sweep.killed} of {sweep.tried} kills came"
        assert len(sweep.ends.acknowledged) > sweep.tried, "the load did not bite"
        assert len(sweep.points) >= LEAST_POINTS
        counts(2, kills=sweep.killed, calls=len(sweep.points), events=len(sweep.ends.acknowledged))


@pytest.mark.slow
@pytest.mark.skipif(not ALL, reason="MESH_FAULTS=all (make test-faults)")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_a_gateway_that_breaks_the_law_of_settling_is_found(
    tmp_path: Path, mutant: Callable[[], None], monkeypatch: pytest.MonkeyPatch
):
    skip_without_strace()
    monkeypatch.setenv("MESH_NATIVE", "off")  # compiled modules call their own, whatever is put over them
    async with sweeping(tmp_path, mutant) as sweep:
        with pytest.raises(Lost):
            await sweep.kill_at(sweep.some(60), patience=5)


async def test_nothing_else_writes(tmp_path: Path):
    skip_without_strace()
    async with sweeping(tmp_path) as sweep:
        assert {call for call, _ in sweep.points} == set(CALLS)
        assert not sweep.others


class Sweep:
    """One gateway after the other over the same state, each killed at one call."""

    def __init__(self, gateway: ForkedGateway, ends: EveryEnd) -> None:
        self.ends = ends
        self.points: list[tuple[str, int]] = []
        """The calls of one round of work: name, and which of one thread's."""
        self.others: set[str] = set()
        """Calls that write, and that we do not know of."""
        self.tried = self.killed = 0
        self._gateway = gateway

    async def count(self, directory: Path) -> None:
        """Find the calls of one round, until all is done and settled and removed."""
        gateway, ends = self._gateway, self.ends
        await gateway.start()
        async with counted(gateway.pid, CALLS + OTHERS, directory / "calls") as found:
            await ends.send(gateway)
            await ends.arrived_somewhere()
            await until(lambda: not gateway.runs, LAST_OF_ALL)
        await gateway.kill()
        self.points = [(call, n) for call in CALLS for n in range(1, found[call] + 1)]
        self.others = set(found) - set(CALLS)

    def some(self, count: int) -> list[tuple[str, int]]:
        """So many of the points, the same whenever there are the same."""
        return random.Random(20261128).sample(self.points, min(count, len(self.points)))

    async def kill_at(self, points: Sequence[tuple[str, int]], patience: float = PATIENCE) -> None:
        """Kill at each of these. Raises `Lost`."""
        gateway, ends = self._gateway, self.ends
        after = "a round without a kill"
        for call, n in points:
            await gateway.start()
            await ends.complete(gateway, after, patience)
            async with injected(gateway.pid, call, f"signal=KILL:when={n}"):
                await ends.send(gateway)
                await until(lambda: not gateway.runs, LAST_OF_ALL)
            self.tried += 1
            self.killed += not gateway.runs
            await gateway.kill()
            after = f"a kill at {call} number {n}"
        await gateway.start()
        await ends.complete(gateway, after, patience)


@contextlib.asynccontextmanager
async def sweeping(directory: Path, mutant: Callable[[], None] | None = None) -> AsyncIterator[Sweep]:
    """A sweep that knows its points."""
    ends = EveryEnd()
    async with ends.subscriber, nursery(mutant) as place:
        gateway = ForkedGateway(ends.documents(), directory, place)
        sweep = Sweep(gateway, ends)
        try:
            await sweep.count(directory)
            yield sweep
        finally:
            await gateway.kill()
