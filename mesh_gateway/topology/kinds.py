"""What plugins have registered, as far as documents need to know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_gateway.transport.builtin import EMBEDDED
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of transports, dialects and URI schemes, and the plugins that failed."""

    transports: Mapping[str, TransportKind] = field(default_factory=dict)
    filters: Mapping[str, Callable[[Any], Callable[[Mapping[str, str]], bool]]] = field(default_factory=dict)
    sinks: frozenset[str] = frozenset({"display"})
    failed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def builtin(cls) -> Kinds:
        """The embedded transport alone."""
        return cls(transports={EMBEDDED.name: EMBEDDED})

    @classmethod
    def of(cls, plugins: Plugins) -> Kinds:
        """What these plugins bring."""
        return cls(
            transports=plugins.transports,
            filters={name: kind.compile for name, kind in plugins.filters.items()},
            sinks=frozenset({"display", *plugins.sinks}),
            failed=plugins.failed,
        )
