"""Cutting the power at a random write or sync of the real store: what was acknowledged is there afterwards.

The same trials with `synchronous=NORMAL` lose events, which shows that the harness can see a loss.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from mesh_gateway.testing.disk import Disk
from mesh_gateway.transport.contract import EARLIEST
from mesh_gateway.transport.embedded import store as store_module
from mesh_gateway.transport.embedded.committer import Committer, Job, Kind
from mesh_gateway.transport.embedded.cursor import Cursor
from mesh_gateway.transport.embedded.schema import Synchronous
from mesh_gateway.transport.embedded.space import Reserve, Space
from mesh_gateway.transport.embedded.store import Store
from tests.faults.figures import counts
from tests.faults.scale import scaled

CUTS = scaled(120, 600)

pytestmark = pytest.mark.slow


@dataclass
class Workload:
    """Random rounds on one channel with one group, and what of them was acknowledged."""

    chance: random.Random
    committer: Committer
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    """Number -> record of every event that must be there."""
    removed: set[int] = field(default_factory=set)
    """Numbers whose removal was begun: they may be gone."""
    watermark: int = 0
    """The newest progress of the group whose write was acknowledged."""
    rounds: int = 0

    def prepare(self) -> None:
        self.channel = self._run("write", lambda store: store.create_channel("ns/b")).id
        self.group = self._run("write", lambda store: store.create_group(self.channel, "shared", EARLIEST)).id
        self.cursor = Cursor(0)

    def run_until_the_power_goes(self) -> None:
        try:
            while True:
                self._round()
                self.rounds += 1
        except apsw.Error:
            return

    def _round(self) -> None:
        chance = self.chance
        batches = [self._records() for _ in range(chance.randint(1, 3))]
        jobs = [self._append(batch) for batch in batches]
        if chance.random() < 0.5:
            jobs.append(self._settle())
        if chance.random() < 0.2:
            jobs.append(self._purge())
        self.committer.run(jobs)
        for job in jobs:
            job.done(job.result, job.error)
        self.committer.checkpoint()

    def _records(self) -> tuple[bytes, ...]:
        return tuple(
            self.chance.randbytes(self.chance.randint(10, 3_000)) for _ in range(self.chance.randint(1, 12))
        )

    def _append(self, records: tuple[bytes, ...]) -> Job:
        def done(where: Any, error: object) -> None:
            self.acknowledged.update(zip(itertools.count(where.first), records, strict=False))

        return job("append", lambda store: store.append(self.channel, records), done)

    def _settle(self) -> Job:
        open_numbers = [n for n in self.acknowledged if not self.cursor.settled(n)]
        self.cursor.settle(n for n in open_numbers if self.chance.random() < 0.7)
        change = self.cursor.change()

        def done(result: object, error: object) -> None:
            self.watermark = change.watermark

        return job("write", lambda store: store.save(self.group, change), done)

    def _purge(self) -> Job:
        up_to = self.watermark
        self.removed.update(n for n in self.acknowledged if n <= up_to)
        return job("write", lambda store: store.purge(self.channel, up_to, float("inf"), 20))

    def _run(self, kind: Kind, work: Callable[[Store], Any]) -> Any:
        asked = job(kind, work)
        self.committer.run([asked])
        return asked.result


def job(kind: Kind, work: Callable[[Store], Any], done: Callable[[Any, Any], None] = lambda *_: None) -> Job:
    return Job(kind, work, done)


def cut(directory: Path, seed: int, synchronous: Synchronous) -> tuple[Workload, int]:
    """One trial: the workload, and how many acknowledged facts are not there afterwards."""
    chance = random.Random(seed)
    disk = Disk(f"cut-{seed}-{synchronous}")
    directory.mkdir()
    store = Store(directory / "mesh.db", synchronous=synchronous, vfs=disk.name)
    workload = Workload(chance, Committer(store, Space(Reserve(None), 2**30)))
    workload.prepare()
    disk.operations_left = chance.randint(1, 120)
    workload.run_until_the_power_goes()
    disk.survivors(directory / "after", chance)
    store.distrust()
    store.close()

    found = Store(directory / "after" / "mesh.db")
    try:
        return workload, lost(workload, found)
    finally:
        found.close()
        disk.unregister()


def lost(workload: Workload, found: Store) -> int:
    channels = found.channels()
    if not channels:
        return len(workload.acknowledged) + 1
    [channel] = channels
    rows = {
        number: record for number, _, record in found.read(channel.id, 1, 2**40, limit=2**31, max_bytes=2**40)
    }
    assert all(rows[number] == record for number, record in workload.acknowledged.items() if number in rows)
    missing = workload.acknowledged.keys() - rows.keys() - workload.removed
    forgotten = channel.groups[0].watermark < workload.watermark if channel.groups else True
    return len(missing) + forgotten


@pytest.fixture
def _small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that cuts hit checkpoints as well: one after some 16 pages instead of 1,024."""
    monkeypatch.setattr(store_module, "CHECKPOINT_PAGES", 16)


@pytest.mark.usefixtures("_small_checkpoints")
def test_nothing_acknowledged_is_lost_when_the_power_goes(tmp_path):
    trials = [cut(tmp_path / str(seed), seed, "FULL") for seed in range(CUTS)]

    counts(3, cuts=CUTS, events=sum(len(workload.acknowledged) for workload, _ in trials))
    assert sum(loss for _, loss in trials) == 0
    assert sum(len(workload.acknowledged) for workload, _ in trials) > 10 * CUTS
    assert sum(workload.rounds for workload, _ in trials) > CUTS


@pytest.mark.usefixtures("_small_checkpoints")
def test_the_same_cuts_lose_events_without_a_sync_for_every_commit(tmp_path):
    trials = [cut(tmp_path / str(seed), seed, "NORMAL") for seed in range(CUTS // 10)]

    assert sum(loss > 0 for _, loss in trials) > CUTS // 60
