"""Fields that no model knows, with a suggestion: the most frequent mistake there is."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

Path = tuple[str | int, ...]
Report = Callable[[Path, str], None]

FREE = frozenset({"metadata", "status"})
"""Kubernetes writes more there than anybody lists."""


def unknown(model: type[BaseModel], value: Any, report: Report, path: Path = ()) -> None:
    """Report every field of `value` that `model` does not have."""
    if not isinstance(value, dict):
        return
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, inner in value.items():
        if key in FREE and not path:
            continue
        if key not in fields:
            report((*path, key), f"unknown field{suggestion(key, fields)}")
            continue
        for nested, where, item in _inside(fields[key].annotation, inner, (*path, key)):
            unknown(nested, item, report, where)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or what there is when nothing is near."""
    names = sorted(known)
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    if close:
        return f", did you mean {lower[close[0]]!r}?"
    return f"; known here: {', '.join(names[:12])}" if names else ""


def _inside(annotation: Any, value: Any, path: Path) -> Iterable[tuple[type[BaseModel], Path, Any]]:
    """The models inside a field's value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, path, value)]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return [found for argument in arguments for found in _inside(argument, value, path)]
    if origin is list and isinstance(value, list):
        return [f for i, item in enumerate(value) for f in _inside(arguments[0], item, (*path, i))]
    return []
