"""A mesh on each transport: `mesh` makes gateways, `backing` is what is behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports import BACKINGS, Backing, Mesh

REMOTE = [backing for backing in BACKINGS if backing.variable]


@pytest.fixture(params=REMOTE, ids=lambda backing: backing.kind)
def backing(request: pytest.FixtureRequest) -> Backing:
    """Each transport with a server; a test names others by parametrizing `backing` indirectly."""
    backing: Backing = request.param
    backing.skip_if_absent()
    return backing


@pytest.fixture
def mesh(backing: Backing, tmp_path: Path) -> Mesh:
    """Makes gateways over it, with channels that no other test has."""
    return Mesh(backing, tmp_path)
