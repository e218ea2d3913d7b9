"""A transport with a server in between passes the kit with all its faults: so the faults can be survived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh_gateway.testing import Harness, TransportConformance
from tests.conformance.networked import Server, harness


class TestNetworkedTransport(TransportConformance):
    @pytest.fixture(autouse=True)
    async def _server(self, tmp_path: Path) -> AsyncIterator[None]:
        self.server = Server(tmp_path / "state")
        await self.server.start()
        yield
        await self.server.stop()

    async def harness(self) -> Harness:
        return harness(self.server)
