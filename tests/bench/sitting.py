"""One sitting of benchmarks: runs each several times, beside the comparator of the same minute, with the noise of each run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.bench import noise, profiles
from tests.bench.comparator import Comparator, Kind
from tests.bench.noise import Noise
from tests.bench.rows import Row, Sample, Target, over

RUNS = 3
"""The median of three survives one run that others disturbed."""

Once = Callable[[], Sequence[Sample]]


class Sitting:
    """What a benchmark is given to measure with."""

    def __init__(self, comparator: Comparator, *, runs: int = RUNS, profile: Path | None = None) -> None:
        """`profile`: a folder; then py-spy watches what is measured, and the figures are not figures."""
        self._comparator = comparator
        self._runs = runs
        self._profiles = profile

    def rows(
        self,
        once: Once,
        *,
        against: Kind | None = "ingress",
        targets: Mapping[str, Target] | None = None,
        servers: Collection[int] = (),
        runs: int | None = None,
    ) -> list[Row]:
        """A row for each sample that `once` gives, over several runs of it.

        `against`: what the comparator does that is set beside the µs. `servers`: processes whose CPU is no noise, although
        they are not ours.
        """
        cost = self._comparator.cost(against) if against else None
        found: list[Sequence[Sample]] = []
        noises: list[Noise] = []
        for _ in range(runs or self._runs):
            before = noise.read(servers)
            found.append(once())
            noises.append(noise.between(before, noise.read(servers)))
        return over(found, comparator=cost, noise=noise.worst(noises), targets=targets)

    def watched(self, pid: int, name: str) -> AbstractContextManager[None]:
        """Around what is measured: the profile called `name`, if profiles are wanted."""
        if self._profiles is None:
            return contextlib.nullcontext()
        return profiles.watched(pid, re.sub(r"\W+", "-", name).strip("-"), self._profiles)
