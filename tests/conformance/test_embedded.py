"""The embedded transport passes the kit, with a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.transport.contract import TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport


class TestEmbeddedTransport(TransportConformance):
    @pytest.fixture(autouse=True)
    def _state(self, tmp_path: Path) -> None:
        self.state = tmp_path / "state"

    async def harness(self) -> Harness:
        clock = ManualClock()
        context = TransportContext("embedded", self.state)

        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return Harness(
            make=lambda: EmbeddedTransport(EmbeddedOptions(), context, clock=clock),
            advance=advance,
            options_model=EmbeddedOptions,
        )
