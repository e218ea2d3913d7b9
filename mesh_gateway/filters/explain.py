"""Why a filter refused an event: the very clause, by its place in the document. Nothing here is hot.

    filters[0].all[1]: prefix source="/eu/" but the event has "/us/web"

`refusal` speaks of a clause that does not hold, `holding` of one that does; a `not` turns one into the other.
"""

from __future__ import annotations

import json

from mesh_gateway.event import Event
from mesh_gateway.filters import attributes
from mesh_gateway.filters.nodes import (
    AllOf,
    AnyOf,
    Cesql,
    Clause,
    Compare,
    Custom,
    Errors,
    Negation,
    Undecided,
)

_VALUE, _EXPRESSION = 80, 200
"""Characters shown of a value (a producer's, of any length) and of an expression (at most 4 KiB)."""

_MARKS = {"exact": "=", "prefix": "^=", "suffix": "$="}


def refusal(clause: Clause, event: Event) -> str:
    """Why `clause`, which does not hold for `event`, does not."""
    match clause:
        case Compare():
            return f"{clause.path}: {_wish(clause)} but the event has {_found(clause.attribute, event)}"
        case AllOf():
            return refusal(next(child for child in clause.children if not _holds(child, event)), event)
        case AnyOf():
            each = "; ".join(refusal(child, event) for child in clause.children)
            return f"{clause.path}: none of {len(clause.children)} holds ({each})"
        case Negation():
            return f"{clause.path}: not, but {holding(clause.child, event)}"
        case Cesql():
            return f"{clause.path}: cesql {_expression_refusal(clause, event)}"
        case Custom():
            return f"{clause.path}: {clause.dialect} does not match"


def holding(clause: Clause, event: Event) -> str:
    """Why `clause`, which holds for `event`, does."""
    match clause:
        case Compare():
            return f"{clause.path}: {_wish(clause)} holds"
        case AllOf(children=()):
            return f"{clause.path}: holds for every event"
        case AllOf():
            return " and ".join(holding(child, event) for child in clause.children)
        case AnyOf():
            return holding(next(child for child in clause.children if _holds(child, event)), event)
        case Negation():
            return refusal(clause.child, event)
        case Cesql():
            return f"{clause.path}: cesql {_shortened(clause.expression.text, _EXPRESSION)} holds"
        case Custom():
            return f"{clause.path}: {clause.dialect} matches"


def describe(clause: Clause) -> str:
    """One short line for the edge of a graph: `type=order.created & source^=/eu/`."""
    match clause:
        case Compare(operator="present"):
            return f"{clause.attribute}=*"
        case Compare():
            return f"{clause.attribute}{_MARKS[clause.operator]}{_shortened(clause.value, _VALUE)}"
        case AllOf():
            return " & ".join(describe(child) for child in clause.children)
        case AnyOf():
            return "(" + " | ".join(describe(child) for child in clause.children) + ")"
        case Negation():
            return f"!({describe(clause.child)})"
        case Cesql():
            return _shortened(" ".join(clause.expression.text.split()), _VALUE)
        case Custom():
            return clause.dialect


def _holds(clause: Clause, event: Event) -> bool:
    """Evaluate without counting errors: an explanation is no delivery."""
    try:
        return clause.compile(Errors())(event)
    except Undecided:
        return False


def _wish(clause: Compare) -> str:
    if clause.operator == "present":
        return f"any {clause.attribute}"
    return f"{clause.operator} {clause.attribute}={_quoted(clause.value)}"


def _found(name: str, event: Event) -> str:
    text = attributes.text(event, name)
    return f'no "{name}"' if text is None else _quoted(text)


def _expression_refusal(clause: Cesql, event: Event) -> str:
    """The first of the parts joined by AND at the top that is not true, and what it looked at."""
    from mesh_gateway.filters.cesql.analysis import attributes_read, conjuncts
    from mesh_gateway.filters.cesql.compile import evaluate_conjunct

    expression = clause.expression
    parts = conjuncts(expression.root)
    whole = _shortened(expression.text.strip(), _EXPRESSION)
    for part in parts:
        result = evaluate_conjunct(part, event, alone=len(parts) == 1)
        if result.value is True and result.error is None:
            continue
        own = _shortened(expression.text[part.start : part.end], _EXPRESSION)
        place = whole if len(parts) == 1 else f"{whole}: {own}"
        if result.error is not None:
            return f"{place} cannot be evaluated: {result.message}"
        if result.value is not False:
            return f"{place} gives {result.value!r}, which is no Boolean"
        names = sorted(attributes_read(part))
        seen = ", ".join(
            f"{name}={_quoted(text)}" for name in names if (text := attributes.text(event, name))
        )
        return f"{place} is false" + (f" for {seen}" if seen else "")
    raise AssertionError(whole)  # every part holds, and yet the whole does not


def _quoted(value: str) -> str:
    return json.dumps(_shortened(value, _VALUE), ensure_ascii=False)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
