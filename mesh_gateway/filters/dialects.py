"""From documents to filters: Knative's `filters` and `filter.attributes`, with every fault found in one go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_gateway.event import Event
from mesh_gateway.filters import explain
from mesh_gateway.filters.nodes import (
    Cesql,
    Clause,
    Compare,
    Custom,
    Demand,
    Errors,
    Matches,
    Negation,
    Undecided,
    all_of,
    any_of,
)

Path = tuple[str | int, ...]
Dialects = Mapping[str, Callable[[Any], Callable[[Mapping[str, str]], bool]]]

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
        self.matches: Matches = _decided(clause, self._errors)
        """Whether an event passes. Never raises. A CESQL expression that cannot be evaluated does not
        pass (its specification says so); where a plugin's dialect fails the event does pass, because
        a plugin's bug must not settle what somebody may have wanted."""
        self.warnings = tuple(warnings)
        """What may surprise its author; lint shows these as MG030."""

    @property
    def errors(self) -> int:
        """Evaluations by `matches` that failed since the filter was made; the index asks only where needed."""
        return self._errors.count

    def why_not(self, event: Event) -> str | None:
        """The very clause that refused the event; None if it passes."""
        if _decided(self.clause, Errors())(event):
            return None
        return explain.refusal(self.clause, event)

    def describe(self) -> str:
        """One short line, for graphs and tables; empty for a filter that takes everything."""
        return explain.describe(self.clause)

    @property
    def reads(self) -> frozenset[str]:
        """Attributes it looks at; "*" when that is not known."""
        return self.clause.reads

    def demands(self) -> Sequence[Demand]:
        """Comparisons that must all hold for an event to pass; there may be other conditions."""
        return self.clause.demands()


def _decided(clause: Clause, errors: Errors) -> Matches:
    """The clause as a function that never raises; only one with a plugin's dialect pays for that."""
    compiled = clause.compile(errors)
    if "*" not in clause.reads:
        return compiled

    def matches(event: Event) -> bool:
        try:
            return compiled(event)
        except Undecided:
            errors.count += 1
            return True

    return matches


def parse(
    filters: Sequence[Any],
    filter_attributes: Sequence[tuple[str, str]] = (),
    custom: Dialects | None = None,
) -> Filter:
    """The filter of a trigger. Raises `FilterFaults` with everything that is wrong.

    A non-empty `filters` beats `filter_attributes`; entries are ANDed; neither means everything.
    """
    reader = _Reader(custom or {})
    if filters:
        found = [reader.clause(entry, ("filters", i), 0) for i, entry in enumerate(filters)]
        clause = all_of("filters", [one for one in found if one is not None])
    else:
        clause = all_of("filter", list(reader.attributes(filter_attributes)))
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

    def clause(self, entry: Any, path: Path, depth: int) -> Clause | None:
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
                return None if child is None else Negation(shown(path), child)
            case "cesql" | "sql":
                return self._cesql(value, path, inner)
        if dialect in self._custom:
            return self._plugin(str(dialect), value, path, inner)
        known = [*DIALECTS, *self._custom]
        close = difflib.get_close_matches(str(dialect), known, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
        return self._fault(inner, f"unknown dialect {dialect!r}{hint}")

    def _compare(self, dialect: Any, value: Any, path: Path, inner: Path) -> Clause | None:
        if not isinstance(value, Mapping) or not value:
            return self._fault(inner, f"{dialect} needs at least one attribute")
        found: list[Clause] = []
        for name, wanted in value.items():
            here = (*inner, str(name))
            if not self._check_name(name, here):
                continue
            if isinstance(wanted, str) and wanted:
                found.append(Compare(shown(path), dialect, name, wanted))
            else:
                hint = f"; write {_as_text(wanted)}" if isinstance(wanted, int | float) else ""
                self._fault(here, f"the value must be text and not empty{hint}")
        return all_of(shown(path), found)

    def _several(self, dialect: str, value: Any, inner: Path, depth: int) -> Clause | None:
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            return self._fault(inner, f"{dialect} needs a list of at least one filter")
        children = [self.clause(entry, (*inner, i), depth + 1) for i, entry in enumerate(value)]
        kept = [child for child in children if child is not None]
        return all_of(shown(inner), kept) if dialect == "all" else any_of(shown(inner), kept)

    def _cesql(self, value: Any, path: Path, inner: Path) -> Clause | None:
        if not isinstance(value, str) or not value.strip():
            return self._fault(inner, "an expression as text, not empty")
        from mesh_gateway.filters import cesql
        from mesh_gateway.filters.cesql.syntax import Attribute

        try:
            expression = cesql.compile(value)
        except cesql.CesqlSyntaxError as error:
            return self._fault(inner, str(error))
        for column, sentence in expression.missing:
            self._fault(inner, f"{sentence} at column {column}")
        if expression.type not in (None, "boolean"):
            self._fault(inner, f"the expression gives a {expression.type}, a filter must be true or false")
        if expression.surprise:
            self.warnings.append(FilterFault(inner, expression.surprise))
        if isinstance(expression.root, Attribute):
            self.warnings.append(FilterFault(inner, _bare(expression.root.name)))
        return Cesql(shown(path), expression)

    def _plugin(self, dialect: str, value: Any, path: Path, inner: Path) -> Clause | None:
        try:
            return Custom(shown(path), dialect, self._custom[dialect](value))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            return self._fault(inner, f"{dialect} cannot be used: {error}")

    def _check_name(self, name: Any, path: Path) -> bool:
        if isinstance(name, str) and _name(name):
            return True
        self._fault(path, f"{name!r} is not an attribute name (a letter, then a-z and 0-9)")
        return False

    def _fault(self, path: Path, message: str) -> Clause | None:
        """Note a fault; what is returned stands for the clause there is not."""
        self.faults.append(FilterFault(path, message))
        return None


def _as_text(value: float) -> str:
    """A YAML scalar as the text that its author must quote."""
    return f'"{str(value).lower() if isinstance(value, bool) else value}"'


def _bare(name: str) -> str:
    return (
        f"{name} alone is true only if the event carries it as a Boolean; over HTTP headers it is the text "
        f'"true", which matches nothing; write {name} = TRUE, or EXISTS {name}'
    )
