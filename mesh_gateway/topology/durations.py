"""ISO 8601 durations in documents: the transports' reading of them, with a word for those who write otherwise."""

from __future__ import annotations

import re

from mesh_gateway.transport import durations

_go = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+\Z", re.ASCII).match
_go_parts = re.compile(r"([0-9.]+)(ms|s|m|h)", re.ASCII).findall
_GO_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}

LONGEST_SHOWN = 40
"""Characters of a wrong value that a message repeats."""


def seconds(text: str) -> float:
    """The length of a duration such as `PT0.2S`. Raises `ValueError` with a sentence that suggests how to write it."""
    if text.isascii() and len(text) <= LONGEST_SHOWN:
        try:
            return durations.seconds(text)
        except ValueError as error:
            raise ValueError(f"{error}{_suggestion(text)}") from None
    raise ValueError(f"{text[:LONGEST_SHOWN]!r} is not an ISO 8601 duration such as PT0.2S or PT10M")


def iso(length: float) -> str:
    """Seconds as an ISO 8601 duration: 0.2 -> `PT0.2S`."""
    return "PT" + f"{length:.6f}".rstrip("0").rstrip(".") + "S"


def _suggestion(text: str) -> str:
    """People write what Go and Kafka write; tell them the same in ISO 8601."""
    if _go(text):
        return f", did you mean {iso(sum(float(n) * _GO_SECONDS[unit] for n, unit in _go_parts(text)))!r}?"
    if text.startswith("-") or "-" in text:
        return "; it must not be negative"
    if re.search(r"^P[0-9.]+[YMW]", text):
        return "; years, months and weeks are not read, write days: 'P30D'"
    return ""
