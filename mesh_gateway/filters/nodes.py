"""The clauses of a filter: what each means, what it reads, and what it demands.

Compiled, a clause is a pure function of an event that never raises. `demands` are comparisons without
which the clause cannot hold: the index files filters under them. Every
clause knows its place in the document (`filters[0].all[1]`), for `explain.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mesh_gateway.event import Event
from mesh_gateway.filters import attributes

if TYPE_CHECKING:
    from mesh_gateway.filters import cesql

Matches = Callable[[Event], bool]
Operator = Literal["exact", "prefix", "suffix", "present"]
Demand = tuple[Operator, str, str]
"""(operator, attribute, value) that must hold for the clause to hold; `present` has no value."""


class Errors:
    """How many evaluations of one filter have failed (= no match)."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """One attribute against one value. `present` asks for existing and not empty."""

    path: str
    operator: Operator
    attribute: str
    value: str

    def compile(self, errors: Errors) -> Matches:
        if not attributes.is_plain(self.attribute):
            return self._compile_derived()
        name, value = self.attribute, self.value
        match self.operator:
            case "exact":
                return lambda event: event.attributes.get(name) == value
            case "prefix":  # a value is never empty, so an absent attribute never begins with it
                return lambda event: event.attributes.get(name, "").startswith(value)
            case "suffix":
                return lambda event: event.attributes.get(name, "").endswith(value)
        return lambda event: bool(event.attributes.get(name))

    def _compile_derived(self) -> Matches:
        read, value = attributes.text_reader(self.attribute), self.value
        match self.operator:
            case "exact":
                return lambda event: read(event) == value
            case "prefix":
                return lambda event: (read(event) or "").startswith(value)
            case "suffix":
                return lambda event: (read(event) or "").endswith(value)
        return lambda event: bool(read(event))

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({self.attribute})

    def demands(self) -> Sequence[Demand]:
        return ((self.operator, self.attribute, self.value),)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every child holds; without children it holds always."""

    path: str
    children: tuple[Clause, ...]

    def compile(self, errors: Errors) -> Matches:
        compiled = [child.compile(errors) for child in self.children]
        if not compiled:
            return lambda event: True
        if len(compiled) == 2:
            first, second = compiled
            return lambda event: first(event) and second(event)

        def every(event: Event) -> bool:
            for matches in compiled:  # noqa: SIM110  # a generator would double its cost
                if not matches(event):
                    return False
            return True

        return every

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(child.reads for child in self.children))

    def demands(self) -> Sequence[Demand]:
        return [demand for child in self.children for demand in child.demands()]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one child holds."""

    path: str
    children: tuple[Clause, ...]

    def compile(self, errors: Errors) -> Matches:
        compiled = [child.compile(errors) for child in self.children]

        def some(event: Event) -> bool:
            for matches in compiled:  # noqa: SIM110  # a generator would double its cost
                if matches(event):
                    return True
            return False

        return some

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(child.reads for child in self.children))

    def demands(self) -> Sequence[Demand]:
        return ()


@dataclass(frozen=True, slots=True)
class Negation:
    """The child does not hold: so it holds where the child could not be evaluated, too."""

    path: str
    child: Clause

    def compile(self, errors: Errors) -> Matches:
        matches = self.child.compile(errors)
        return lambda event: not matches(event)

    @property
    def reads(self) -> frozenset[str]:
        return self.child.reads

    def demands(self) -> Sequence[Demand]:
        return ()


@dataclass(frozen=True, slots=True)
class Cesql:
    """A CESQL expression; an evaluation that fails, or gives no Boolean, is no match.

    The language is imported with the first of them (a twenty-fifth of the time from start to ready).
    """

    path: str
    expression: cesql.Expression

    def compile(self, errors: Errors) -> Matches:
        from mesh_gateway.filters.cesql.values import EvaluationError

        call = self.expression.call

        def matches(event: Event) -> bool:
            try:
                value = call(event)
            except EvaluationError:
                errors.count += 1
                return False
            if value is True:
                return True
            if value is not False:
                errors.count += 1
            return False

        return matches

    @property
    def reads(self) -> frozenset[str]:
        from mesh_gateway.filters.cesql.analysis import attributes_read

        return attributes_read(self.expression.root)

    def demands(self) -> Sequence[Demand]:
        from mesh_gateway.filters.cesql.analysis import demands

        return demands(self.expression.root)


class Undecided(Exception):
    """A plugin's dialect has failed: nobody can say whether the event passes."""


@dataclass(frozen=True, slots=True)
class Custom:
    """A dialect that a plugin brings; a function of the attributes. Compiled, it may raise `Undecided`."""

    path: str
    dialect: str
    matches: Callable[[Mapping[str, str]], bool]

    def compile(self, errors: Errors) -> Matches:
        call = self.matches

        def matches(event: Event) -> bool:
            try:
                return call(event.attributes) is True
            except Exception as error:  # a plugin's code may raise anything
                raise Undecided(f"{self.dialect}: {type(error).__name__}: {error}") from error

        return matches

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"*"})

    def demands(self) -> Sequence[Demand]:
        return ()


Clause = Compare | AllOf | AnyOf | Negation | Cesql | Custom


def all_of(path: str, children: Sequence[Clause]) -> Clause:
    """`AllOf`, or the only child itself."""
    return children[0] if len(children) == 1 else AllOf(path, tuple(children))


def any_of(path: str, children: Sequence[Clause]) -> Clause:
    """`AnyOf`, or the only child itself."""
    return children[0] if len(children) == 1 else AnyOf(path, tuple(children))
