"""Prometheus's text format, version 0.0.4, written a line at a time.

`prometheus_client` makes an object and a dictionary for each sample, and a scrape of 1,000 Triggers has 30,000 of them: it held
the event loop ten times as long as this does ([decision 10](../../docs/decisions/0010-own-exposition.md)).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

PREFIX = "mesh_gateway_"
"""Of the name of every metric."""


def labels(**values: str) -> str:
    """These names and values as they stand between the braces of a sample."""
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in values.items()])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Family:
    """One metric: its lines, in the order in which they were added. `name` is that of its samples."""

    __slots__ = ("lines", "name")

    def __init__(self, name: str, text: str, type: str) -> None:
        self.name = name
        self.lines = [f"# HELP {name} {text}", f"# TYPE {name} {type}"]

    def add(self, labels: str, value: float) -> None:
        """One sample; `labels` as `labels` gives them, or "" for none."""
        self.add_as(self.name, labels, value)

    def add_as(self, name: str, labels: str, value: float) -> None:
        """One sample under a name of its own, as those of a histogram have."""
        self.lines.append(f"{name}{{{labels}}} {float(value)}" if labels else f"{name} {float(value)}")

    def add_histogram(self, labels: str, counts: Iterable[tuple[str, int]], total: float) -> None:
        """How many were at most each bound and not at most the one before, the last bound being +Inf; and the sum of all."""
        count = 0
        for bound, more in counts:
            count += more
            self.lines.append(f'{self.name}_bucket{{{labels},le="{bound}"}} {count}.0')
        self.lines.append(f"{self.name}_count{{{labels}}} {count}.0")
        self.lines.append(f"{self.name}_sum{{{labels}}} {total}")


class Page:
    """What a scrape is answered with."""

    def __init__(self) -> None:
        self._families: list[Family] = []

    def counter(self, name: str, text: str) -> Family:
        """A metric that only grows."""
        return self.family(f"{name}_total", text, "counter")

    def gauge(self, name: str, text: str) -> Family:
        """A metric that goes up and down."""
        return self.family(name, text, "gauge")

    def histogram(self, name: str, text: str) -> Family:
        """Counts of what was at most so much."""
        return self.family(name, text, "histogram")

    def family(self, name: str, text: str, type: str) -> Family:
        """A metric of this type, its samples named so but for the prefix."""
        family = Family(PREFIX + name, text, type)
        self._families.append(family)
        return family

    def render(self) -> bytes:
        """The whole text."""
        lines = chain.from_iterable(family.lines for family in self._families)
        return "\n".join([*lines, ""]).encode()
