"""Whether two filters can pass the same event; used by lint to keep quiet about loops that cannot happen."""

from __future__ import annotations

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.nodes import Conjunct


def disjoint(one: Filter, other: Filter) -> bool:
    """True only if it is certain that no event passes both."""
    return any(_exclude(a, b) for a in one.conjuncts() for b in other.conjuncts() if a[1] == b[1])


def _exclude(a: Conjunct, b: Conjunct) -> bool:
    """Two demands on one attribute that no value meets."""
    first, second = sorted((a, b), key=lambda c: ("exact", "prefix", "suffix", "present").index(c[0]))
    wanted, other = first[2], second[2]
    match (first[0], second[0]):
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
