"""Every story that uses `mesh` is told over every transport."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports import BACKINGS, Backing, Mesh


@pytest.fixture(params=BACKINGS, ids=lambda backing: backing.kind)
def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> Mesh:
    """Gateways over one transport after the other."""
    backing: Backing = request.param
    backing.skip_if_absent()
    return Mesh(backing, tmp_path)
