"""Variables in documents: `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, and `$$` for a dollar sign.

They are replaced in the text of parsed values, so a value can never change a document's structure and a
comment never asks for a variable. Keys, filters and CESQL are never touched. A lone `$` stays a `$`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mesh_gateway.topology.faults import Path


class Filled(str):
    """Text in which a variable was replaced: the only text that may stand where a number is asked for."""

    __slots__ = ()


_variable = re.compile(r"\$(?:\$|\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([^{}]*))?\})?)").sub

UNTOUCHED = frozenset({"filter", "filters", "cesql"})
"""Fields below which nothing is replaced: a filter must not change its meaning with the machine it runs on."""


def interpolate(value: Any, environment: Mapping[str, str], fault: Callable[[Path, str], None]) -> Any:
    """The same value with every variable replaced; equal parts stay the same objects.

    Calls `fault(path, message)` for each variable without a value; its text stays as it was.
    """
    return _replace(value, (), environment, fault)


def _replace(
    value: Any, path: Path, environment: Mapping[str, str], fault: Callable[[Path, str], None]
) -> Any:
    if isinstance(value, str):
        return _text(value, path, environment, fault) if "$" in value else value
    if isinstance(value, dict):
        return {
            key: part if key in UNTOUCHED else _replace(part, (*path, key), environment, fault)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_replace(part, (*path, i), environment, fault) for i, part in enumerate(value)]
    return value


def _text(text: str, path: Path, environment: Mapping[str, str], fault: Callable[[Path, str], None]) -> str:
    def value(match: re.Match[str]) -> str:
        whole: str = match.group()
        name, operator, word = match.groups()
        if whole == "$$":
            return "$"
        if name is None:
            fault(
                path,
                "'${' must go on as ${NAME}, ${NAME:-default} or ${NAME:?message}; write $${ for the text",
            )
            return whole
        found = environment.get(name)
        # As in compose files: with an operator, empty counts as unset.
        if found is not None and (found or operator is None):
            return found
        if operator == "-":
            return word
        reason = word if operator == "?" and word else "it is not set"
        fault(path, f"{name}: {reason}" + ("" if operator else f"; set it, or write ${{{name}:-default}}"))
        return whole

    filled = _variable(value, text)
    return text if filled == text else Filled(filled)
