"""Whether two filters can pass the same event; lint uses it to keep quiet about loops that cannot happen."""

from __future__ import annotations

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.nodes import Demand

_ORDER = ("exact", "prefix", "suffix", "present")


def disjoint(one: Filter, other: Filter) -> bool:
    """True only if it is certain that no event passes both."""
    return any(_exclude(a, b) for a in one.demands() for b in other.demands() if a[1] == b[1])


def _exclude(a: Demand, b: Demand) -> bool:
    """Two demands on one attribute that no value meets."""
    (first, _, wanted), (second, _, other) = sorted((a, b), key=lambda demand: _ORDER.index(demand[0]))
    match (first, second):
        case ("exact", "exact"):
            return wanted != other
        case ("exact", "prefix"):
            return not wanted.startswith(other)
        case ("exact", "suffix"):
            return not wanted.endswith(other)
        case ("prefix", "prefix"):
            return not wanted.startswith(other) and not other.startswith(wanted)
        case ("suffix", "suffix"):
            return not wanted.endswith(other) and not other.endswith(wanted)
    return False
