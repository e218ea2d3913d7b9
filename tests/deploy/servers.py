"""Where the real servers are."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def required(*variables: str) -> list[str]:
    """What these variables say. Fails where servers are required, else skips aloud."""
    absent = [variable for variable in variables if variable not in os.environ]
    if absent and os.environ.get("MESH_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{', '.join(absent)} must be set here: scripts/services up")
    if absent:
        pytest.skip(f"{', '.join(absent)}: not set; scripts/services up, or make test")
    return [os.environ[variable] for variable in variables]


def until_all_plugins_are_there(*kinds: str) -> None:
    """Skips aloud while a plugin (any of these) is only a name; to be removed with the last of them."""
    absent = [
        kind
        for kind in kinds or ("kafka", "rabbitmq", "sqs")
        if find_spec(f"mesh_gateway_{kind}.transport") is None
    ]
    if absent:
        pytest.skip(f"not written yet: the plugin for {', '.join(absent)}")
