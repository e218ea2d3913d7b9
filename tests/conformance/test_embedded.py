"""The embedded transport passes the kit, on disk and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport


class TestEmbedded(TransportConformance):
    """Over a file."""

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.path: Path = tmp_path

    @asynccontextmanager
    async def harness(self) -> AsyncIterator[Harness]:
        context = TransportContext("embedded", self.path)
        yield Harness(lambda: EmbeddedTransport(EmbeddedOptions(), context), largest_event=2**20)
