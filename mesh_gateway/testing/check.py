"""The kit over whichever kind of transport the environment names: what `mesh-gateway plugins check NAME` runs.

MESH_CHECK_KIND is the kind, MESH_CHECK_OPTIONS its options as JSON. The plugin's own conformance test knows
more than options do: how to restart its server and where to put a proxy.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mesh_gateway.testing.conformance import TransportConformance
from mesh_gateway.testing.harness import Harness
from mesh_gateway.transport.contract import TransportContext
from mesh_gateway.transport.plugins import import_string, load_plugins

KIND = "MESH_CHECK_KIND"
OPTIONS = "MESH_CHECK_OPTIONS"

PATIENCE = 20.0
"""Seconds for an event to arrive: nobody knows how far away the server is, nor how slowly its groups form."""


class TestTransport(TransportConformance):
    """The kind that was named, with the options that were given."""

    @pytest.fixture(autouse=True)
    def _state_directory(self, tmp_path: Path) -> None:
        self._state = tmp_path / "state"

    async def harness(self) -> Harness:
        """Only options are known: restarts, proxies and denials stay untried."""
        kind = load_plugins().transports[os.environ[KIND]]
        model = import_string(kind.options)
        options = model.model_validate(json.loads(os.environ[OPTIONS]))
        load = import_string(kind.load)
        context = TransportContext(kind.name, self._state)
        return Harness(make=lambda: load(options, context), patience=PATIENCE, options_model=model)
