"""The kit's part in pytest (entry point `pytest11`): `--mesh-report FILE`.

It is imported into every pytest run beside which mesh-gateway is installed, so it imports nothing
of its own until the option is given.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("mesh-gateway").addoption(
        "--mesh-report",
        metavar="FILE",
        help="write what the transports' conformance tests have found to FILE, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Listen to the run when a report is wanted."""
    path = config.getoption("--mesh-report")
    if path:
        from mesh_gateway.testing.report import Reporter

        config.pluginmanager.register(Reporter(path), "mesh-report")
