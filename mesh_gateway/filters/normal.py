"""A filter as clauses: what an event must be like to pass, attribute by attribute (OR of ANDs).

A form may let more pass than its filter does, never less: whoever finds nothing left in a form may rely on it. It is exact
for `exact`, `prefix`, `suffix`, `all`, `any`, `not`, and for CESQL with AND, OR, NOT, =, !=, IN, EXISTS and LIKE with `%`
at one place only. Everything else counts as "may hold, may not".

CESQL has three ends: true, false and error, and where an error ends the whole expression an operand to its right is
never asked. So each expression is asked for four things: when it may be true, when false, when not true, when not false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

from mesh_gateway.filters.cesql import syntax
from mesh_gateway.filters.cesql.like import like
from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.nodes import AllOf, AnyOf, Cesql, Clause, Compare, Negation
from mesh_gateway.filters.values import (
    ANY,
    MISSING,
    NO_TEXTS,
    PRESENT,
    Values,
    affixes,
    among,
    overlaps,
)

MOST_CLAUSES = 128
"""Of a form. Filters that people write have a handful; beyond it a form forgets conditions, which lets more pass."""
MOST_PAIRS = 1_024
"""Of clauses that are put together at once: about 10 ms."""

REQUIRED = frozenset({"specversion", "id", "source", "type"})
"""Attributes that no event lacks (CloudEvents 1.0.2, 3.1)."""
TEXTS = REQUIRED | {"subject", "time", "datacontenttype", "dataschema"}
"""Attributes that are text whatever their JSON was; an extension may have come as a number or boolean."""

Conditions = tuple[tuple[str, Values], ...]
"""One clause: (attribute, what is left for it), in the order of names; an attribute that is not there may be anything."""


@dataclass(frozen=True, slots=True)
class Form:
    """Clauses, of which an event must meet one. Falsy when none is left: no event passes."""

    clauses: tuple[Conditions, ...]

    def __bool__(self) -> bool:
        return bool(self.clauses)

    def meet(self, other: Form) -> Form:
        """What passes both. Beyond the limits, what passes the simpler one."""
        if self == ANYTHING or other == ANYTHING:
            return other if self == ANYTHING else self
        simpler = min(self, other, key=lambda form: len(form.clauses))
        if len(self.clauses) * len(other.clauses) > MOST_PAIRS:
            return simpler
        pairs = (_both(one, another) for one, another in product(self.clauses, other.clauses))
        met = _form(clause for clause in pairs if clause is not None)
        return met if len(met.clauses) <= MOST_CLAUSES else simpler

    def without(self, changing: Callable[[str], bool]) -> Form:
        """What is left when nothing is known of some attributes."""
        kept = (tuple(one for one in clause if not changing(one[0])) for clause in self.clauses)
        return _form(kept)


ANYTHING = Form(((),))
NOTHING = Form(())


def normal_form(filter: Filter) -> Form:
    """The form of a filter. With a plugin's dialect in it, any event may pass: it does so when the plugin fails."""
    return ANYTHING if "*" in filter.reads else _clause(filter.clause, wanted=True)


# ── forms together ───────────────────────────────────────────────────────────────────────────


def _all(forms: Iterable[Form]) -> Form:
    return reduce(Form.meet, forms, ANYTHING)


def _any(forms: Iterable[Form]) -> Form:
    found = _form(clause for form in forms for clause in form.clauses)
    return found if len(found.clauses) <= MOST_CLAUSES else ANYTHING


def _form(clauses: Iterable[Conditions]) -> Form:
    """The same clauses, each once; those that differ in one list of texts become one."""
    found = list(dict.fromkeys(clauses))
    if () in found:
        return ANYTHING
    for name in sorted({name for clause in found for name, _ in clause}):
        found = list(_merged(name, found))
    return Form(tuple(found))


def _both(one: Conditions, other: Conditions) -> Conditions | None:
    """One clause that asks for both; None if nothing meets it."""
    left = dict(one)
    for name, values in other:
        met = left[name] = left[name].meet(values) if name in left else values
        if not met:
            return None
    return tuple(sorted(left.items(), key=_name))


def _merged(name: str, clauses: Sequence[Conditions]) -> Iterator[Conditions]:
    lists: dict[Conditions, Values] = {}
    for clause in clauses:
        values = dict(clause).get(name)
        if values is None or values.texts is None:
            yield clause
            continue
        rest = tuple(one for one in clause if one[0] != name)
        others = lists.get(rest, among(NO_TEXTS))
        lists[rest] = Values(values.absent or others.absent, values.texts | (others.texts or NO_TEXTS))
    for rest, values in lists.items():
        yield tuple(sorted((*rest, (name, values)), key=_name))


def _name(condition: tuple[str, Values]) -> str:
    return condition[0]


def _where(name: str, values: Values) -> Form:
    """One condition on one attribute."""
    if name in REQUIRED:
        values = values.meet(PRESENT)
    if values == ANY:
        return ANYTHING
    return Form((((name, values),),)) if values else NOTHING


# ── dialects ─────────────────────────────────────────────────────────────────────────────────


def _clause(clause: Clause, *, wanted: bool) -> Form:
    """When the clause may hold, or (`wanted` False) may not."""
    match clause:
        case Compare():
            return _where(clause.attribute, _compared(clause, wanted=wanted))
        case AllOf():
            parts = [_clause(child, wanted=wanted) for child in clause.children]
            return _all(parts) if wanted else _any(parts)
        case AnyOf():
            parts = [_clause(child, wanted=wanted) for child in clause.children]
            return _any(parts) if wanted else _all(parts)
        case Negation():
            return _clause(clause.child, wanted=not wanted)
        case Cesql():
            return _Cesql().form(clause.expression.root, result=True, reached=wanted)
    return ANYTHING


def _compared(clause: Compare, *, wanted: bool) -> Values:
    value = clause.value
    match clause.operator:
        case "exact":
            return among(frozenset({value})) if wanted else Values(banned=frozenset({value}))
        case "prefix":
            return affixes(value, "", apart=False) if wanted else Values(heads=frozenset({value}))
        case "suffix":
            return affixes("", value, apart=False) if wanted else Values(tails=frozenset({value}))
    empty = frozenset({""})  # `present` asks for more than existing
    return Values(absent=False, banned=empty) if wanted else Values(texts=empty)


# ── CESQL ────────────────────────────────────────────────────────────────────────────────────


class _Cesql:
    """The forms of one expression; each of its nodes is looked at once for each question."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool, bool], Form] = {}

    def form(self, node: syntax.Node, *, result: bool, reached: bool) -> Form:
        """When evaluating may give `result`; with `reached` False, when it may give anything else, errors included."""
        question = (id(node), result, reached)
        if question not in self._known:
            self._known[question] = self._form(node, result=result, reached=reached)
        return self._known[question]

    def _form(self, node: syntax.Node, *, result: bool, reached: bool) -> Form:
        match node:
            case syntax.Literal(value=bool() as value):
                return ANYTHING if (value is result) is reached else NOTHING
            case syntax.Not():
                return self.form(node.operand, result=not result, reached=reached)
            case syntax.Logical(operator="and" | "or"):
                return self._logical(node, result=result, reached=reached)
            case syntax.Exists():
                return _where(node.name, PRESENT if result is reached else MISSING)
            case syntax.Binary(
                operator="=" | "!=",
                left=syntax.Attribute(name=name),
                right=syntax.Literal(value=str() as value),
            ):
                return _equal(name, value, holds=result is (node.operator == "="), reached=reached)
            case syntax.Like(operand=syntax.Attribute(name=name)):
                return _like(name, node.pattern, holds=result is not node.negated, reached=reached)
            case syntax.In(operand=syntax.Attribute(name=name)):
                return _in(name, node, holds=result is not node.negated, reached=reached)
            case syntax.Attribute(name=name) if reached:
                return _where(name, PRESENT)
        return ANYTHING

    def _logical(self, node: syntax.Logical, *, result: bool, reached: bool) -> Form:
        """An operand decides (AND: false, OR: true) if those before it were the opposite; an error ends it all."""
        decisive = result is (node.operator == "or")
        form = NOTHING if decisive is reached else ANYTHING
        for part in reversed(node.operands):
            own = self.form(part, result=result, reached=reached)
            other = self.form(part, result=not result, reached=reached)
            match decisive, reached:
                case True, True:
                    form = _any([own, other.meet(form)])
                case True, False:
                    form = own.meet(_any([other, form]))
                case False, True:
                    form = own.meet(form)
                case False, False:
                    form = _any([own, form])
        return form


def _text(
    name: str, inside: Sequence[Values], outside: Sequence[Values], *, holds: bool, reached: bool
) -> Form:
    """A comparison that is true for the texts `inside` and false for those `outside`, which have the missing attribute as
    well: that is an error, neither true nor false.
    """
    if reached:
        return _any(_where(name, values.meet(PRESENT)) for values in (inside if holds else outside))
    return _any(_where(name, values) for values in (outside if holds else (*inside, MISSING)))


def _equal(name: str, value: str, *, holds: bool, reached: bool) -> Form:
    one = frozenset({value})
    return _text(name, [among(one)], [Values(banned=one)], holds=holds, reached=reached)


def _like(name: str, text: str, *, holds: bool, reached: bool) -> Form:
    pattern = like(text)
    if pattern.exact is not None:
        return _equal(name, pattern.exact, holds=holds, reached=reached)
    prefix, suffix = pattern.prefix, pattern.suffix
    outside = [ANY]
    if pattern.affixes:
        outside = [MISSING, among(overlaps(prefix, suffix))]
        outside += [Values(heads=frozenset({prefix}))] if prefix else []
        outside += [Values(tails=frozenset({suffix}))] if suffix else []
    inside = affixes(prefix, suffix, apart=True)
    return _text(name, [inside], outside, holds=holds, reached=reached)


_number = re.compile(r"-?[0-9]{1,64}\Z", re.ASCII).match


def _in(name: str, node: syntax.In, *, holds: bool, reached: bool) -> Form:
    values = [one.value for one in node.elements if isinstance(one, syntax.Literal)]
    listed = frozenset(value for value in values if isinstance(value, str))
    if len(values) < len(node.elements) or not all(isinstance(value, str) for value in values):
        return _where(name, PRESENT) if reached else ANYTHING
    if name in TEXTS:
        return _text(name, [among(listed)], [Values(banned=listed)], holds=holds, reached=reached)
    # An extension that came as a number or boolean has the texts cast to its own type: another text may equal it,
    # and one that cannot be cast is an error.
    if reached:
        inside = among(listed.union(_canonical(listed)))
        return _text(name, [inside], [Values(banned=listed)], holds=holds, reached=True)
    typed = frozenset(text for text in listed if _number(text) or text in ("true", "false"))
    return _where(name, Values(banned=listed - typed)) if holds else ANYTHING


def _canonical(texts: Iterable[str]) -> Iterator[str]:
    """What a number or boolean is called that equals one of these texts."""
    for text in texts:
        if text.lower() in ("true", "false"):
            yield text.lower()
        elif _number(text.removeprefix("+")):
            yield str(int(text.removeprefix("+")))
