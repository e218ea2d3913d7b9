"""The kit: what every transport must do, as a pytest class. It *is* the contract's definition.

    from mesh_gateway.testing import Harness, TransportConformance

    class TestNats(TransportConformance):
        async def harness(self) -> Harness:
            return Harness(make=lambda: NatsTransport(options, context))

A test is skipped only where a capability is not declared, and only after it has seen the transport
refuse honestly (`Unsupported`, or a method that is not there). Async tests run under anyio's pytest
plugin; a project that does not use its automatic mode needs nothing but anyio installed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mesh_gateway.testing.harness import Harness, Kit, unpacked

# Before they are imported, so that a failing assertion of the kit shows its values.
pytest.register_assert_rewrite("mesh_gateway.testing.suites")

from mesh_gateway.testing.suites.capabilities import DeclaredCapabilities  # noqa: E402  # see above
from mesh_gateway.testing.suites.deliveries import Deliveries  # noqa: E402
from mesh_gateway.testing.suites.faults import Faults  # noqa: E402
from mesh_gateway.testing.suites.lifecycle import Lifecycle  # noqa: E402
from mesh_gateway.testing.suites.messages import Messages  # noqa: E402


class TransportConformance(Messages, Deliveries, Lifecycle, DeclaredCapabilities, Faults):
    """Subclass it, give it a harness, and it tests your transport."""

    pytestmark = pytest.mark.anyio

    async def harness(self) -> Harness:
        """How to make the transport under test; called once for every test."""
        raise NotImplementedError

    @pytest.fixture
    async def kit(self) -> AsyncIterator[Kit]:
        """The harness in use."""
        async with unpacked(await self.harness()) as kit:
            yield kit
