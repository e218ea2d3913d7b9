"""Which triggers want an event, by tables: other code than the filters, and so dull that it can be read.

A trigger's wish is a list of clauses; it wants an event if all rows of any one clause hold. A row is
(attribute, test, value). How the same wish is written in a document stands beside it in `plan.py`; a property
test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Row = tuple[str, str, str]
Clause = Sequence[Row]
Wish = Sequence[Clause]

TESTS: Mapping[str, Callable[[str | None, str], bool]] = {
    "is": lambda found, value: found == value,
    "is not": lambda found, value: found != value,
    "begins": lambda found, value: found is not None and found[: len(value)] == value,
    "ends": lambda found, value: found is not None and found[len(found) - len(value) :] == value,
    "exists": lambda found, _: found is not None,
    "absent": lambda found, _: found is None,
}
"""What a row may ask; `found` is None where the event has no such attribute."""

EVERYTHING: Wish = ((),)


def wants(wish: Wish, attributes: Mapping[str, str]) -> bool:
    """Whether an event with these attributes is wanted."""
    return any(
        all(TESTS[test](attributes.get(name), value) for name, test, value in clause) for clause in wish
    )
