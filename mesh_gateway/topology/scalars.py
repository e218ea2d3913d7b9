"""What a scalar of YAML means, by the core schema of YAML 1.2 (10.3.2).

PyYAML reads those of YAML 1.1, where `no` is false, `on` is true, 0777 is 511 and 12:30 is 750: an attribute
named `on` would vanish.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

TAG = "tag:yaml.org,2002:"
STR, NULL, BOOL, INT, FLOAT = TAG + "str", TAG + "null", TAG + "bool", TAG + "int", TAG + "float"
MAP, SEQ, MERGE = TAG + "map", TAG + "seq", TAG + "merge"

LONGEST_INT = 40
"""Digits; a longer one is read as a float, as JSON readers do. No field takes either."""

_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLS = ("true", "True", "TRUE", "false", "False", "FALSE")
_WORDS = {**dict.fromkeys(_NULLS, NULL), **dict.fromkeys(_BOOLS, BOOL), "<<": MERGE}

_is_int = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z").match
_is_decimal = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z").match
_is_special = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z").match


def plain_tag(text: str) -> str:
    """What a plain (unquoted) scalar is. `<<` is the merge key, which YAML 1.2 left out and everybody kept."""
    word = _WORDS.get(text)
    if word is not None:
        return word
    if text[0] in "-+.0123456789":
        if _is_int(text):
            return INT
        if _is_decimal(text) or _is_special(text):
            return FLOAT
    return STR


def value(tag: str, text: str) -> Any:
    """The value of a scalar. Raises `LookupError` for a tag that is not read, `ValueError` for a wrong text."""
    return _MAKERS[tag](text)


def short(tag: str) -> str:
    """A tag as people write it."""
    return tag.replace(TAG, "!!")


def _null(text: str) -> None:
    if text not in _NULLS:
        raise ValueError(text)


def _boolean(text: str) -> bool:
    if text not in _BOOLS:
        raise ValueError(text)
    return text.lower() == "true"


def _integer(text: str) -> int | float:
    if not _is_int(text):
        raise ValueError(text)
    based = text[:2] in ("0o", "0x")
    if len(text) > LONGEST_INT:
        return float("inf") if based else float(text)
    return int(text, 0) if based else int(text)


def _float(text: str) -> float:
    if _is_special(text):
        return float(text.replace(".", "").lower())
    if not _is_decimal(text):
        raise ValueError(text)
    return float(text)


_MAKERS: dict[str, Callable[[str], Any]] = {
    STR: str,
    MERGE: str,
    NULL: _null,
    BOOL: _boolean,
    INT: _integer,
    FLOAT: _float,
}
