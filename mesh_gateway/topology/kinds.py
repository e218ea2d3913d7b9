"""What the installed plugins bring, as far as documents can name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_gateway.transport import builtin
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.plugins import Plugins, import_string

Compile = Callable[[Any], Callable[[Mapping[str, str]], bool]]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Registered kinds by name. Made once at start by whoever loaded the plugins."""

    transports: Mapping[str, TransportKind]
    filters: Mapping[str, Compile] = field(default_factory=dict)
    """Dialect -> its compile function (`FilterKind.compile`)."""
    sinks: frozenset[str] = frozenset()
    """URI schemes besides http, https and display."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Plugins that are installed and cannot be used: name -> why."""
    load: Callable[[str], Any] = import_string
    """From "package.module:name" to the object; raises `PluginError`."""

    @classmethod
    def builtin(cls) -> Kinds:
        """Without any plugin: the embedded transport."""
        return cls(transports={builtin.EMBEDDED.name: builtin.EMBEDDED})

    @classmethod
    def of(cls, plugins: Plugins) -> Kinds:
        """What these plugins bring."""
        return cls(
            transports=plugins.transports,
            filters={name: kind.compile for name, kind in plugins.filters.items()},
            sinks=frozenset(plugins.sinks),
            failed=plugins.failed,
        )
