"""The kit: what every transport must do, as a pytest class. It *is* the contract's definition.

    from mesh_gateway.testing import Harness, TransportConformance

    class TestNats(TransportConformance):
        async def harness(self) -> Harness:
            return Harness(make=lambda: NatsTransport(options, context))

A test is skipped only where a capability is not declared, and only after it has seen the transport
refuse honestly (`Unsupported`, or a method that is not there); or as "not tried", where the harness names
no way to do to the transport's surroundings what the test is about. It needs pytest and anyio, whose
pytest plugin runs the tests, and nothing else: no conftest.py, no settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

import pytest

from mesh_gateway.testing.harness import Harness, Kit, unpacked
from mesh_gateway.transport.contract import Capabilities

# Before they are imported, so that a failing assertion of the kit shows its values.
pytest.register_assert_rewrite("mesh_gateway.testing.suites")

from mesh_gateway.testing.suites.capabilities import DeclaredCapabilities  # noqa: E402  # see above
from mesh_gateway.testing.suites.deliveries import Deliveries  # noqa: E402
from mesh_gateway.testing.suites.faults import Faults  # noqa: E402
from mesh_gateway.testing.suites.groups import Groups  # noqa: E402
from mesh_gateway.testing.suites.lifecycle import Lifecycle  # noqa: E402
from mesh_gateway.testing.suites.messages import Messages  # noqa: E402


class TransportConformance(Messages, Deliveries, Groups, Lifecycle, DeclaredCapabilities, Faults):
    """Subclass it, give it a harness, and it tests your transport."""

    pytestmark = pytest.mark.anyio

    async def harness(self) -> Harness:
        """How to make the transport under test; called once for every test."""
        raise NotImplementedError

    @pytest.fixture(scope="session")
    @classmethod
    def anyio_backend(cls) -> tuple[str, dict[str, bool]]:
        """The event loop that the gateway runs on, whatever the project's other tests use."""
        return "asyncio", {"use_uvloop": find_spec("uvloop") is not None}

    @pytest.fixture
    async def kit(self, request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
        """The harness in use; what its transport declares and the tests note goes into the report."""
        tell = request.node.user_properties.append
        async with unpacked(await self.harness()) as kit:
            tell(("mesh_capabilities", plain(kit.harness.make().capabilities)))
            yield kit
            for note in kit.notes:
                tell(("mesh_note", note))


def plain(capabilities: Capabilities) -> dict[str, Any]:
    """Capabilities for JSON; an endless delay is the text `any`."""
    return {
        name: sorted(value) if isinstance(value, frozenset) else "any" if value == float("inf") else value
        for name, value in asdict(capabilities).items()
    }
