"""Where the real servers are."""

from __future__ import annotations

import os

import pytest


def required(*variables: str) -> list[str]:
    """What these variables say. Fails where servers are required, else skips aloud."""
    absent = [variable for variable in variables if variable not in os.environ]
    if absent and os.environ.get("MESH_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{', '.join(absent)} must be set here: scripts/services up")
    if absent:
        pytest.skip(f"{', '.join(absent)}: not set; scripts/services up, or make test")
    return [os.environ[variable] for variable in variables]
