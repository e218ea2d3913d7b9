"""Whether filters can pass the same event; lint uses it to keep quiet about loops that cannot happen."""

from __future__ import annotations

from functools import reduce

from mesh_gateway.filters.dialects import Filter
from mesh_gateway.filters.normal import ANYTHING, Form, normal_form


def disjoint(*filters: Filter) -> bool:
    """True only if it is certain that no event passes all of them.

    All at once: three filters can be compatible two by two, and impossible together.
    """
    return not reduce(Form.meet, map(normal_form, filters), ANYTHING)
