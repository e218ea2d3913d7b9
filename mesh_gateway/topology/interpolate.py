"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in string values, after parsing.

After, because a variable in a comment or one whose value holds a colon must not change the document's
shape. Never in keys, filters or expressions. In Knative kinds only where the document asks for it:
a borrowed manifest cannot read our environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Path = tuple[str | int, ...]

_variable = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}|(?P<bad>\{))"
)

UNTOUCHED = frozenset({"filters", "filter"})


def interpolate(
    value: Any, environment: Mapping[str, str], report: Callable[[Path, str], None], path: Path = ()
) -> Any:
    """`value` with its strings filled in; each variable that is not set is reported and left as it is."""
    if isinstance(value, str):
        return _filled(value, environment, lambda message: report(path, message)) if "$" in value else value
    if isinstance(value, dict):
        return {
            key: inner if key in UNTOUCHED else interpolate(inner, environment, report, (*path, key))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [interpolate(inner, environment, report, (*path, i)) for i, inner in enumerate(value)]
    return value


def _filled(text: str, environment: Mapping[str, str], report: Callable[[str], None]) -> str:
    def one(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["bad"]:
            report(f"{text!r}: after ${{ comes a name and then }}, :-default}} or :?message}}")
            return match[0]
        found = environment.get(match["name"])
        if found:
            return found
        if match["how"] == ":-":
            return str(match["rest"])
        if match["how"] == ":?":
            report(f"{match['name']}: {match['rest'] or 'is needed and not set'}")
        elif found is None:
            report(f"the variable {match['name']} is not set; set it, or write ${{{match['name']}:-default}}")
        return ""

    return _variable.sub(one, text)
