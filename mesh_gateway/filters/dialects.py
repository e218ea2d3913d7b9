"""From documents to filters: Knative's `filters` and `filter.attributes`, with every fault found in one go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any as Anything

from mesh_gateway.event import Event
from mesh_gateway.filters import cesql
from mesh_gateway.filters.nodes import All, Any, Cesql, Clause, Compare, Conjunct, Custom, Errors, Not

Path = tuple[str | int, ...]
Dialects = Mapping[str, Callable[[Anything], Callable[[Mapping[str, str]], bool]]]

DIALECTS = ("exact", "prefix", "suffix", "all", "any", "not", "cesql")
MAX_DEPTH = 32
"""Of `all`, `any` and `not` inside each other; deeper is a generator's mistake, not a filter."""

_name = re.compile(r"[a-z][a-z0-9]*\Z").match


@dataclass(frozen=True, slots=True)
class FilterFault:
    """What is wrong, or surprising, and where: ("filters", 0, "all", 1, "prefix", "source")."""

    path: Path
    message: str


class FilterFaults(ValueError):
    """The filter cannot be used; all of its faults."""

    def __init__(self, faults: Sequence[FilterFault]) -> None:
        super().__init__("; ".join(f"{shown(fault.path)}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class Filter:
    """A trigger's whole filter, compiled. Pure, for any number of callers."""

    __slots__ = ("_errors", "clause", "matches", "warnings")

    def __init__(self, clause: Clause, warnings: Sequence[FilterFault] = ()) -> None:
        self._errors = Errors()
        self.clause = clause
        self.matches: Callable[[Event], bool] = clause.compile(self._errors)
        """Whether an event passes. Never raises: what cannot be evaluated does not pass."""
        self.warnings = tuple(warnings)

    @property
    def errors(self) -> int:
        """Evaluations that failed since the filter was made."""
        return self._errors.count

    def why_not(self, event: Event) -> str | None:
        """The very clause that refused the event; None if it passes."""
        if self.clause.compile(Errors())(event):
            return None
        return self.clause.refusal(event)

    def describe(self) -> str:
        """One short line, for graphs and tables; empty for a filter that takes everything."""
        return self.clause.describe()

    @property
    def reads(self) -> frozenset[str]:
        """Attributes it looks at; "*" when that is not known."""
        return self.clause.reads

    def conjuncts(self) -> Sequence[Conjunct]:
        """Comparisons that must all hold for an event to pass."""
        return self.clause.conjuncts()


def parse(
    filters: Sequence[Anything],
    filter_attributes: Sequence[tuple[str, str]] = (),
    custom: Dialects | None = None,
) -> Filter:
    """The filter of a trigger. Raises `FilterFaults` with everything that is wrong.

    A non-empty `filters` beats `filter_attributes`; entries are ANDed; neither means everything.
    """
    reader = _Reader(custom or {})
    if filters:
        clauses = [reader.clause(entry, ("filters", i), 0) for i, entry in enumerate(filters)]
        clause: Clause = All("filters", tuple(c for c in clauses if c is not None))
    else:
        clause = All("filter", tuple(reader.attributes(filter_attributes)))
    if reader.faults:
        raise FilterFaults(reader.faults)
    return Filter(clause, reader.warnings)


def shown(path: Path) -> str:
    """A path as text: `filters[0].all[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Reader:
    def __init__(self, custom: Dialects) -> None:
        self._custom = custom
        self.faults: list[FilterFault] = []
        self.warnings: list[FilterFault] = []

    def attributes(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Clause]:
        """`filter.attributes`: an empty value asks for any value that is not empty."""
        for name, value in pairs:
            path = ("filter", "attributes", name)
            if self._check_name(name, path):
                yield Compare(shown(path), "exact" if value else "present", name, value)

    def clause(self, entry: Anything, path: Path, depth: int) -> Clause | None:
        """One entry: exactly one dialect."""
        if depth > MAX_DEPTH:
            return self._fault(path, f"nested deeper than {MAX_DEPTH}")
        if not isinstance(entry, Mapping) or not entry:
            return self._fault(path, "a filter is an object with one dialect: " + ", ".join(DIALECTS))
        if len(entry) > 1:
            names = ", ".join(str(name) for name in entry)
            return self._fault(path, f"one dialect in each entry, here are {names}; put them into an 'all'")
        dialect, value = next(iter(entry.items()))
        inner = (*path, str(dialect))
        match dialect:
            case "exact" | "prefix" | "suffix":
                return self._compare(dialect, value, path, inner)
            case "all" | "any":
                return self._several(dialect, value, inner, depth)
            case "not":
                child = self.clause(value, inner, depth + 1)
                return None if child is None else Not(shown(path), child)
            case "cesql" | "sql":
                return self._cesql(value, path, inner)
        if dialect in self._custom:
            return self._plugin(str(dialect), value, path, inner)
        known = [*DIALECTS, *self._custom]
        close = difflib.get_close_matches(str(dialect), known, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
        return self._fault(inner, f"unknown dialect {dialect!r}{hint}")

    def _compare(self, dialect: Anything, value: Anything, path: Path, inner: Path) -> Clause | None:
        if not isinstance(value, Mapping) or not value:
            return self._fault(inner, f"{dialect} needs at least one attribute")
        found: list[Clause] = []
        for name, wanted in value.items():
            here = (*inner, str(name))
            if not self._check_name(name, here):
                continue
            if not isinstance(wanted, str) or not wanted:
                self._fault(here, "the value must be text and not empty")
                continue
            found.append(Compare(shown(path), dialect, name, wanted))
        return found[0] if len(found) == 1 else All(shown(path), tuple(found))

    def _several(self, dialect: str, value: Anything, inner: Path, depth: int) -> Clause | None:
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            return self._fault(inner, f"{dialect} needs a list of at least one filter")
        children = [self.clause(entry, (*inner, i), depth + 1) for i, entry in enumerate(value)]
        kept = tuple(child for child in children if child is not None)
        return All(shown(inner), kept) if dialect == "all" else Any(shown(inner), kept)

    def _cesql(self, value: Anything, path: Path, inner: Path) -> Clause | None:
        if not isinstance(value, str) or not value.strip():
            return self._fault(inner, "an expression as text, not empty")
        try:
            expression = cesql.compile(value)
        except cesql.CesqlSyntaxError as error:
            return self._fault(inner, str(error))
        if expression.type not in (None, "boolean"):
            return self._fault(
                inner, f"the expression is a {expression.type}, a filter must be true or false"
            )
        self.warnings += [FilterFault(inner, surprise) for surprise in expression.surprises]
        return Cesql(shown(path), expression)

    def _plugin(self, dialect: str, value: Anything, path: Path, inner: Path) -> Clause | None:
        try:
            return Custom(shown(path), dialect, self._custom[dialect](value))
        except ValueError as error:
            return self._fault(inner, str(error))

    def _check_name(self, name: Anything, path: Path) -> bool:
        if isinstance(name, str) and _name(name):
            return True
        self._fault(path, f"{name!r} is not an attribute name (a letter, then a-z and 0-9)")
        return False

    def _fault(self, path: Path, message: str) -> Clause | None:
        """Note a fault; what is returned stands for the clause there is not."""
        self.faults.append(FilterFault(path, message))
        return None
