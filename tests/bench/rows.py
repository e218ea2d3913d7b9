"""What benchmarks find: samples of single runs, rows over several runs, and the tables that show them. No I/O."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.noise import Noise

HEAD = ("what", "median (least–most)", "besides, µs", "events/s", "of Go's", "others, cores", "at most")
WIDTHS = (50, 28, 36, 9, 8, 20)
"""Of the columns on a terminal; the last one is as wide as it is."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a row may be at most: in pure Python, and with native code where that is another number."""

    value: float
    native: float | None = None
    marks: str = ""
    """What others need for the same."""

    def __str__(self) -> str:
        native = "" if self.native is None else f", native {self.native:g}"
        return f"{self.value:g}{native}" + (f"; {self.marks}" if self.marks else "")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run found for one row."""

    what: str
    value: float
    """By default the CPU time of the process under test, user and system, for each event."""
    unit: str = "µs"
    rate: float | None = None
    """Events per second of wall clock."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """CPU µs per event of the other processes that took part."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    values: Sequence[float]
    unit: str = "µs"
    rate: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    ratio: float | None = None
    """Of the median to what the Go comparator needed in the same minute."""
    noise: Noise | None = None
    target: Target | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def missed(self) -> bool:
        """Whether the median is above the target for pure Python."""
        return self.target is not None and self.median > self.target.value


def over(
    runs: Sequence[Sequence[Sample]],
    *,
    comparator: float | None = None,
    noise: Noise | None = None,
    targets: Mapping[str, Target] | None = None,
) -> list[Row]:
    """One row for each sample's name, in the order of the first run; each run has the same names."""
    rows: list[Row] = []
    for samples in zip(*runs, strict=True):
        first = samples[0]
        median = statistics.median(sample.value for sample in samples)
        rates = [sample.rate for sample in samples if sample.rate is not None]
        rows.append(
            Row(
                first.what,
                [sample.value for sample in samples],
                first.unit,
                statistics.median(rates) if rates else None,
                {name: statistics.median(sample.beside[name] for sample in samples) for name in first.beside},
                median / comparator if comparator and first.unit == "µs" else None,
                noise,
                (targets or {}).get(first.what),
                samples[-1].note,
            )
        )
    return rows


def absent(what: str, why: str) -> Row:
    """A line that says aloud what was not measured."""
    return Row(what, (), note=f"not measured: {why}")


def cells(row: Row) -> tuple[str, ...]:
    """The columns of `HEAD`."""
    if not row.values:
        return row.what, row.note, "", "", "", "", ""
    figure = f"{number(row.median)} {row.unit}"
    if len(row.values) > 1:
        figure += f" ({number(min(row.values))}–{number(max(row.values))})"
    return (
        f"{row.what}, {row.note}" if row.note else row.what,
        figure,
        ", ".join(f"{name} {number(cost)}" for name, cost in row.beside.items()),
        "" if row.rate is None else f"{row.rate:,.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.noise is None else str(row.noise),
        "" if row.target is None else f"{row.target}{' (missed)' if row.missed else ''}",
    )


def number(value: float) -> str:
    """Three significant digits or more, never a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def line(columns: Sequence[str]) -> str:
    """A line for a terminal."""
    return " ".join(
        f"{text:{width}}" for text, width in zip(columns, (*WIDTHS, 0), strict=True) if text or width
    ).rstrip()


def markdown(rows: Iterable[Row]) -> str:
    """A table for a document."""
    lines = [HEAD, ("---",) * len(HEAD), *(cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(columns) + " |" for columns in lines) + "\n"
