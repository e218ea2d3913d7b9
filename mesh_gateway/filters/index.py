"""Many filters at once: which of a thousand triggers want this event, at nearly the cost of one.

Every filter that demands an exact value, a prefix or a suffix of some attribute is filed under the
most selective of these demands; an event looks up its own values and asks only what is filed there.
What has no such demand is asked every time. Filters that read nothing but type and source are
answered from a memory of recent (type, source) pairs, bounded because producers choose these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.nodes import Conjunct

MEMORY = 8_192
"""(type, source) pairs remembered: a few MB at most. When it is full it starts anew."""

_STATIC = frozenset({"type", "source"})
_RANK = {"exact": 0, "prefix": 1, "suffix": 2}

Entry = tuple[int, Callable[[Event], bool] | None]
"""(index of the filter, what else must hold; None = nothing)."""


class FilterIndex:
    """Answers `match` for a fixed sequence of filters. Pure but for its bounded memory."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        static = [(i, f) for i, f in enumerate(filters) if f.reads <= _STATIC]
        dynamic = [(i, f) for i, f in enumerate(filters) if not f.reads <= _STATIC]
        self._static = _Table(static)
        self._dynamic = _Table(dynamic) if dynamic else None
        self._memory: dict[tuple[str, str], tuple[int, ...]] = {}

    def match(self, event: Event) -> Sequence[int]:
        """Ascending indexes of the filters that pass the event."""
        attributes = event.attributes
        key = (attributes["type"], attributes["source"])
        found = self._memory.get(key)
        if found is None:
            found = self._remember(key, event)
        if self._dynamic is None:
            return found
        more = self._dynamic.match(event)
        if not more:
            return found
        return sorted((*found, *more)) if found else sorted(more)

    def _remember(self, key: tuple[str, str], event: Event) -> tuple[int, ...]:
        found = tuple(sorted(self._static.match(event)))
        if len(self._memory) >= MEMORY:
            self._memory.clear()
        self._memory[key] = found
        return found


class _Table:
    """Filters filed under one demand each."""

    def __init__(self, filters: Sequence[tuple[int, Filter]]) -> None:
        exact: dict[str, dict[str, list[Entry]]] = {}
        prefix: dict[str, dict[int, dict[str, list[Entry]]]] = {}
        suffix: dict[str, dict[int, dict[str, list[Entry]]]] = {}
        self._others: list[tuple[int, Callable[[Event], bool]]] = []
        for index, one in filters:
            best = _most_selective(one.conjuncts())
            if best is None:
                self._others.append((index, one.matches))
                continue
            operator, name, value = best
            # A filter that is nothing but this demand needs no second look.
            entry: Entry = (index, None if len(one.conjuncts()) == 1 and _is_whole(one) else one.matches)
            if operator == "exact":
                exact.setdefault(name, {}).setdefault(value, []).append(entry)
            else:
                table = prefix if operator == "prefix" else suffix
                table.setdefault(name, {}).setdefault(len(value), {}).setdefault(value, []).append(entry)
        self._exact = list(exact.items())
        self._prefix = [(name, sorted(lengths.items())) for name, lengths in prefix.items()]
        self._suffix = [(name, sorted(lengths.items())) for name, lengths in suffix.items()]

    def match(self, event: Event) -> list[int]:
        """Indexes of the filters that pass the event, in no order."""
        found: list[int] = []
        attributes = event.attributes
        for name, values in self._exact:
            value = attributes.get(name)
            if value is not None and (entries := values.get(value)):
                _ask(entries, event, found)
        for name, lengths in self._prefix:
            value = attributes.get(name)
            if value is not None:
                for length, values in lengths:
                    if length <= len(value) and (entries := values.get(value[:length])):
                        _ask(entries, event, found)
        for name, lengths in self._suffix:
            value = attributes.get(name)
            if value is not None:
                for length, values in lengths:
                    if length <= len(value) and (entries := values.get(value[len(value) - length :])):
                        _ask(entries, event, found)
        for index, matches in self._others:
            if matches(event):
                found.append(index)
        return found


def _ask(entries: Sequence[Entry], event: Event, found: list[int]) -> None:
    """Those of one value: what else they demand."""
    for index, rest in entries:
        if rest is None or rest(event):
            found.append(index)


def _most_selective(conjuncts: Sequence[Conjunct]) -> Conjunct | None:
    """Exact before prefix before suffix, longer before shorter, `type` before others."""
    usable = [c for c in conjuncts if c[0] in _RANK]
    return min(usable, key=lambda c: (_RANK[c[0]], -len(c[2]), c[1] != "type"), default=None)


def _is_whole(one: Filter) -> bool:
    """Whether the filter is a single comparison, perhaps wrapped in lists of one."""
    clause: object = one.clause
    while hasattr(clause, "children") and len(clause.children) == 1:
        clause = clause.children[0]
    return type(clause).__name__ == "Compare"
