"""The clauses of a filter: what each means, what it reads, and how it explains a refusal.

Compiled, a clause is a pure function of an event that never raises. Explained, it names itself by its
place in the document: `filters[0].all[1]: prefix source="/eu/" but the event has "/us/web"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mesh_gateway.event import Event
from mesh_gateway.filters import cesql
from mesh_gateway.filters.cesql.compile import attributes_read, evaluate_part
from mesh_gateway.filters.cesql.syntax import Attribute, Binary
from mesh_gateway.filters.cesql.syntax import Literal as LiteralNode
from mesh_gateway.filters.cesql.values import EvaluationError

Matches = Callable[[Event], bool]
Operator = Literal["exact", "prefix", "suffix", "present"]
Conjunct = tuple[Operator, str, str]
"""(operator, attribute, value) that must hold for the clause to hold."""


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
        name, value = self.attribute, self.value
        match self.operator:
            case "exact":
                return lambda event: event.attributes.get(name) == value
            case "prefix":
                return lambda event: event.attributes.get(name, "").startswith(value)
            case "suffix":
                return lambda event: event.attributes.get(name, "").endswith(value)
        return lambda event: bool(event.attributes.get(name))

    def refusal(self, event: Event) -> str:
        found = event.attributes.get(self.attribute)
        has = f'"{found}"' if found is not None else f'no "{self.attribute}"'
        if self.operator == "present":
            return f"{self.path}: any {self.attribute}, but the event has {has}"
        return f'{self.path}: {self.operator} {self.attribute}="{self.value}" but the event has {has}'

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({self.attribute})

    def conjuncts(self) -> Sequence[Conjunct]:
        return ((self.operator, self.attribute, self.value),)

    def describe(self) -> str:
        mark = {"exact": "=", "prefix": "^=", "suffix": "$=", "present": "=*"}[self.operator]
        return f"{self.attribute}{mark}{self.value}"


@dataclass(frozen=True, slots=True)
class All:
    """Every child holds."""

    path: str
    children: tuple[Clause, ...]

    def compile(self, errors: Errors) -> Matches:
        compiled = [child.compile(errors) for child in self.children]
        if not compiled:
            return lambda event: True
        if len(compiled) == 1:
            return compiled[0]
        if len(compiled) == 2:
            first, second = compiled
            return lambda event: first(event) and second(event)
        return lambda event: all(matches(event) for matches in compiled)

    def refusal(self, event: Event) -> str:
        for child in self.children:
            if not child.compile(Errors())(event):
                return child.refusal(event)
        return f"{self.path}: matches"

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(child.reads for child in self.children))

    def conjuncts(self) -> Sequence[Conjunct]:
        return [conjunct for child in self.children for conjunct in child.conjuncts()]

    def describe(self) -> str:
        return " & ".join(child.describe() for child in self.children)


@dataclass(frozen=True, slots=True)
class Any:
    """At least one child holds."""

    path: str
    children: tuple[Clause, ...]

    def compile(self, errors: Errors) -> Matches:
        compiled = [child.compile(errors) for child in self.children]
        return lambda event: any(matches(event) for matches in compiled)

    def refusal(self, event: Event) -> str:
        each = "; ".join(child.refusal(event) for child in self.children)
        return f"{self.path}: none of {len(self.children)} holds ({each})"

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(child.reads for child in self.children))

    def conjuncts(self) -> Sequence[Conjunct]:
        return self.children[0].conjuncts() if len(self.children) == 1 else ()

    def describe(self) -> str:
        return "(" + " | ".join(child.describe() for child in self.children) + ")"


@dataclass(frozen=True, slots=True)
class Not:
    """The child does not hold."""

    path: str
    child: Clause

    def compile(self, errors: Errors) -> Matches:
        compiled = self.child.compile(errors)
        return lambda event: not compiled(event)

    def refusal(self, event: Event) -> str:
        return f"{self.path}: not ({self.child.describe()}), but that holds"

    @property
    def reads(self) -> frozenset[str]:
        return self.child.reads

    def conjuncts(self) -> Sequence[Conjunct]:
        return ()

    def describe(self) -> str:
        return f"!({self.child.describe()})"


@dataclass(frozen=True, slots=True)
class Cesql:
    """A CESQL expression; an evaluation that fails, or gives no Boolean, is no match."""

    path: str
    expression: cesql.Expression

    def compile(self, errors: Errors) -> Matches:
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

    def refusal(self, event: Event) -> str:
        expression = self.expression
        for part in expression.conjuncts():
            result = evaluate_part(part, event)
            shown = expression.part(part)
            if result.error is not None:
                return f"{self.path}: cesql {shown} cannot be evaluated: {result.message}"
            if result.value is not True:
                what = "is false" if result.value is False else f"gives {result.value!r}, which is no Boolean"
                return f"{self.path}: cesql {shown} {what}"
        return f"{self.path}: cesql {expression.text} is false"

    @property
    def reads(self) -> frozenset[str]:
        return attributes_read(self.expression.root)

    def conjuncts(self) -> Sequence[Conjunct]:
        return [
            ("exact", part.left.name, part.right.value)
            for part in self.expression.conjuncts()
            if isinstance(part, Binary)
            and part.operator == "="
            and isinstance(part.left, Attribute)
            and isinstance(part.right, LiteralNode)
            and isinstance(part.right.value, str)
        ]

    def describe(self) -> str:
        return self.expression.text


@dataclass(frozen=True, slots=True)
class Custom:
    """A dialect that a plugin brings; a function of the attributes."""

    path: str
    dialect: str
    matches: Callable[[Mapping[str, str]], bool]

    def compile(self, errors: Errors) -> Matches:
        call = self.matches

        def matches(event: Event) -> bool:
            try:
                return call(event.attributes) is True
            except Exception:  # noqa: BLE001  # a plugin's code; its failure is no match, and counted
                errors.count += 1
                return False

        return matches

    def refusal(self, event: Event) -> str:
        return f"{self.path}: {self.dialect} does not match"

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"*"})

    def conjuncts(self) -> Sequence[Conjunct]:
        return ()

    def describe(self) -> str:
        return self.dialect


Clause = Compare | All | Any | Not | Cesql | Custom
