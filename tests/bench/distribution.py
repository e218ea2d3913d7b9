"""Percentiles, and how measured times are spread. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

STALL_MS = 50.0
"""Longer than this is a stall."""

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999, "max": 1.0}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values that is not exceeded by `share` of them. Raises `ValueError` for none at all."""
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(milliseconds: Sequence[float]) -> dict[str, float]:
    """The `SHARES`, and how many are stalls."""
    ordered = sorted(milliseconds)
    found = {name: percentile(ordered, share) for name, share in SHARES.items()}
    return found | {
        "stalls": float(sum(1 for one in ordered if one > STALL_MS)),
        "count": float(len(ordered)),
    }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through the points that fits best (least squares)."""
    middle = sum(x for x, _ in points) / len(points)
    height = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - height) for x, y in points) / spread if spread else 0.0
