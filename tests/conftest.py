"""Fixtures every test may use."""

import pytest
from hypothesis import settings

# A busy machine is no failure: benchmarks measure time, tests do not.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Async tests run on the loop that the gateway runs on."""
    return "asyncio", {"use_uvloop": True}
