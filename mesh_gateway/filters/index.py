"""Many filters at once: which of a thousand triggers want this event, at nearly the cost of one.

Every filter that demands an exact value, a prefix or a suffix of some attribute is filed under the
most selective of these demands; an event looks up its own values and asks only what is filed there.
What has no such demand is asked every time. Filters that read nothing but type and source are
answered from a memory of recent (type, source) pairs, bounded because producers choose these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mesh_gateway.event import Event
from mesh_gateway.filters import attributes
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.nodes import Compare, Demand

MEMORY = 8_192
"""Answers remembered; when it is full it starts anew. With `LONGEST_KEY` it is 15 MB at the very worst (four
bytes a character, 0.3 KB for the rest), about 3 MB with the types and sources people have. What the index itself is worth, with
sources that vary, is in the rows *filters* of docs/performance.md: with 100 triggers a tenth of asking each."""
LONGEST_KEY = 384
"""Characters of type and source together; longer ones are matched every time."""

_STATIC = frozenset({"type", "source"})
_RANK = {"exact": 0, "prefix": 1, "suffix": 2}
_SMALL = 8
"""Filters that may share a demand before a rarer one is worth looking for: asking eight costs no more than
the look-ups that one more table of prefixes adds to every event."""

Entry = tuple[int, Callable[[Event], bool] | None]
"""(index of the filter, what else must hold; None = nothing)."""
Values = dict[str, list[Entry]]
"""What is filed under each value of one attribute."""


class FilterIndex:
    """Answers `match` for a fixed sequence of filters. Pure but for its bounded memory; for one thread."""

    __slots__ = ("_answers", "_dynamic", "_memory", "_static")

    def __init__(self, filters: Sequence[Filter]) -> None:
        static = [(i, one) for i, one in enumerate(filters) if one.reads <= _STATIC]
        dynamic = [(i, one) for i, one in enumerate(filters) if not one.reads <= _STATIC]
        self._static = _Table(static)
        self._dynamic = _Table(dynamic) if dynamic else None
        self._memory: dict[tuple[str, str], tuple[int, ...]] = {}
        self._answers: dict[tuple[int, ...], tuple[int, ...]] = {}

    def match(self, event: Event) -> Sequence[int]:
        """Ascending indexes of the filters that pass the event. Never raises."""
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
        more.extend(found)
        more.sort()
        return more

    def _remember(self, key: tuple[str, str], event: Event) -> tuple[int, ...]:
        found = tuple(sorted(self._static.match(event)))
        if len(key[0]) + len(key[1]) > LONGEST_KEY:
            return found
        if len(self._memory) >= MEMORY:
            self._memory.clear()
            self._answers.clear()
        # Many pairs have the same answer, and an answer may name every trigger: one tuple serves all.
        found = self._answers.setdefault(found, found)
        self._memory[key] = found
        return found


class _Table:
    """Filters filed under one demand each."""

    __slots__ = ("_affixes", "_exact", "_others")

    def __init__(self, filters: Sequence[tuple[int, Filter]]) -> None:
        exact: dict[str, Values] = {}
        affixes: dict[str, dict[tuple[int, str], Values]] = {}
        self._others: list[tuple[int, Callable[[Event], bool]]] = []
        wanted = [(index, one, _usable(one)) for index, one in filters]
        shared = Counter(demand for _, _, demands in wanted for demand in demands)
        for index, one, demands in wanted:
            if not demands:
                self._others.append((index, one.matches))
                continue
            operator, name, value = min(demands, key=lambda demand: _cost(demand, shared[demand]))
            if operator == "exact":
                values = exact.setdefault(name, {})
            else:
                values = affixes.setdefault(name, {}).setdefault((len(value), operator), {})
            rest = None if isinstance(one.clause, Compare) else one.matches
            values.setdefault(value, []).append((index, rest))
        self._exact = list(exact.items())
        self._affixes = [
            (
                name,
                [
                    (length, _part(length, operator), tables[length, operator])
                    for length, operator in sorted(tables)
                ],
            )
            for name, tables in affixes.items()
        ]

    def match(self, event: Event) -> list[int]:
        """Indexes of the filters that pass the event, in no order."""
        found: list[int] = []
        attributes = event.attributes
        for name, values in self._exact:
            value = attributes.get(name)
            if value is not None and (entries := values.get(value)):
                _ask(entries, event, found)
        for name, tables in self._affixes:
            value = attributes.get(name)
            if value is not None:
                size = len(value)
                for length, part, values in tables:
                    if length > size:
                        break
                    if entries := values.get(value[part]):
                        _ask(entries, event, found)
        for index, matches in self._others:
            if matches(event):
                found.append(index)
        return found


def _part(length: int, operator: str) -> slice:
    """The first or the last `length` characters."""
    return slice(0, length) if operator == "prefix" else slice(-length, None)


def _ask(entries: Sequence[Entry], event: Event, found: list[int]) -> None:
    """Those filed under one value: does the rest of them hold?"""
    for index, rest in entries:
        if rest is None or rest(event):
            found.append(index)


def _usable(one: Filter) -> Sequence[Demand]:
    """Demands that a table can look up."""
    return [demand for demand in one.demands() if demand[0] in _RANK and attributes.is_plain(demand[1])]


def _cost(demand: Demand, sharing: int) -> tuple[int, int, int, bool]:
    """Least first: few filters under it, exact before prefix before suffix, longer before shorter, `type` first."""
    operator, name, value = demand
    return (max(sharing, _SMALL), _RANK[operator], -len(value), name != "type")
