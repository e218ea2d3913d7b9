"""`/metrics` of several workers as one text: what they count is added up, and stays when one of them dies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from mesh_gateway.gateway.exposition import PREFIX, Page, labels
from mesh_gateway.gateway.metrics import configuration
from mesh_gateway.gateway.reload import Reloads

Incarnation = tuple[int, int]
"""A worker's number and how often it was started before: its counts begin at zero each time."""

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]

LEAST = frozenset({"part_up", "transport_up", "relay_up"})
"""Up only where all are."""
MOST = frozenset({"build_info", "backlog_oldest_seconds", "channel_drifts"})
BACKLOG = "backlog_events"
OURS = frozenset({"config_info", "config_reloads", "config_last_success_timestamp_seconds", "config_stale"})
"""The parent's documents are those that count."""


@dataclass(slots=True)
class Family:
    """One metric of all workers."""

    name: str
    text: str
    type: str
    samples: Samples = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it only grows."""
        return self.type in ("counter", "histogram")

    def write(self, page: Page) -> None:
        """Its samples, under the names that they have."""
        name = self.name.removeprefix(PREFIX)
        family = (
            page.counter(name, self.text)
            if self.type == "counter"
            else page.family(name, self.text, self.type)
        )
        for (sample, found), value in self.samples.items():
            family.add_as(sample, labels(**dict(found)), value)


class Total:
    """Adds up what workers say, those that have died included. One caller at a time."""

    def __init__(self) -> None:
        self._last: dict[Incarnation, list[Family]] = {}
        """Of each that has not been seen to be over, what it counted when it was asked last."""
        self._over: list[Family] = []

    def note(self, incarnation: Incarnation, text: str) -> None:
        """A worker has said this."""
        families = [_family(metric) for metric in text_string_to_metric_families(text)]
        for earlier in [one for one in self._last if one[0] == incarnation[0] and one != incarnation]:
            self._over += [family for family in self._last.pop(earlier) if family.counts]
            self._over = list(_summed(self._over).values())
        self._last[incarnation] = families

    def families(self, now: Iterable[Incarnation], local: Callable[[str], bool]) -> list[Family]:
        """Everything that only grows, and of all else what those workers say that are there `now`."""
        there = set(now)
        everything = list(self._over)
        for incarnation, families in self._last.items():
            everything += [one for one in families if one.counts or incarnation in there]
        found = _summed(
            (one for one in everything if one.name.removeprefix(PREFIX) not in OURS),
            lambda family, labels: _how(family.name.removeprefix(PREFIX), dict(labels), local),
        )
        return list(found.values())


Combine = Callable[[float, float], float]


def _add(one: float, other: float) -> float:
    return one + other


def _how(name: str, labels: Mapping[str, str], local: Callable[[str], bool]) -> Combine:
    """How two values of one sample become one."""
    if name in LEAST:
        return min
    if name in MOST or (name == BACKLOG and not local(labels.get("broker", ""))):
        return max
    return _add


def _summed(
    families: Iterable[Family], how: Callable[[Family, Labels], Combine] = lambda family, labels: _add
) -> dict[str, Family]:
    found: dict[str, Family] = {}
    for one in families:
        into = found.setdefault(one.name, Family(one.name, one.text, one.type))
        for sample, value in one.samples.items():
            before = into.samples.get(sample)
            into.samples[sample] = value if before is None else how(one, sample[1])(before, value)
    return found


def _family(metric: Metric) -> Family:
    samples = {(one.name, tuple(one.labels.items())): one.value for one in metric.samples}
    return Family(metric.name, metric.documentation, metric.type, samples)


class Exporter:
    """The text of one moment."""

    def __init__(
        self,
        families: Iterable[Family],
        reloads: Reloads,
        digest: str,
        workers: Iterable[Mapping[str, object]],
    ) -> None:
        self._families = families
        self._reloads = reloads
        self._digest = digest
        self._workers = list(workers)

    def render(self) -> bytes:
        page = Page()
        configuration(page, self._digest, self._reloads)
        self._of_workers(page)
        for family in self._families:
            family.write(page)
        return page.render()

    def _of_workers(self, page: Page) -> None:
        up = page.gauge("worker_up", "1 while a worker serves.")
        restarts = page.counter("worker_restarts", "Times a worker was started again.")
        for one in self._workers:
            at = labels(worker=str(one["worker"]))
            up.add(at, int(one["state"] == "ready"))
            restarts.add(at, int(str(one["restarts"])))
