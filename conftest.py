"""Which tests are told over real servers (`-m servers`).

Some of those kill and pause them, so they run one after the other; what needs no server runs beside them, and is given no
address of one (`make test`), so that a test that is marked wrongly fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parent / "plugins"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if PLUGINS in item.path.parents or any(map(has_a_server, parameters(item))):
            item.add_marker(pytest.mark.servers)


def parameters(item: pytest.Item) -> Iterable[object]:
    """What the test is told over, alone or several at once."""
    call = getattr(item, "callspec", None)
    for value in () if call is None else call.params.values():
        yield from value if isinstance(value, tuple) else (value,)


def has_a_server(value: object) -> bool:
    """Whether this is a transport (`tests.transports.Backing`) with a server behind it."""
    return bool(getattr(value, "variable", ""))
