"""ISO 8601 durations, as Knative and our options write them: `PT0.2S`, `PT10M`, `P1DT2H`."""

from __future__ import annotations

import re

_duration = re.compile(
    r"P(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?\Z"
).match

_LENGTHS = {"days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0}
LONGEST = 366 * 86_400.0
"""A year: what is longer is a mistake in a unit."""


def seconds(text: object) -> float:
    """The seconds of a duration. Raises `ValueError` with a sentence."""
    match = _duration(text) if isinstance(text, str) else None
    if match is None or text in ("P", "PT") or str(text).endswith("T"):
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT0.2S or PT10M")
    total = sum(float(amount) * _LENGTHS[unit] for unit, amount in match.groupdict().items() if amount)
    if total > LONGEST:
        raise ValueError(f"{text!r} is longer than a year")
    return total
