"""Finding plugins, so that a broken one stops nobody but those who use it.

pluggy's own loader lets the first failing import through to the top. Here each entry point is
imported, checked and registered by itself; what goes wrong becomes a `PluginReport` that
`mesh-gateway plugins` prints, and an error only when a document names what the plugin would
have brought.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from mesh_gateway.errors import DuplicateKind, UnknownKind
from mesh_gateway.transport import builtin, hooks
from mesh_gateway.transport.contract import TRANSPORT_API
from mesh_gateway.transport.hooks import GROUP, FilterKind, HealthCheck, SinkKind, TransportKind

ALLOWED = "MESH_GATEWAY_PLUGINS"
"""Environment variable: comma-separated plugin names to load; empty = built-ins only; unset = all."""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What became of one plugin."""

    name: str
    distribution: str
    version: str
    status: str
    """`ok`, `failed`, `incompatible` or `disabled`."""
    detail: str = ""
    hooks: tuple[str, ...] = ()
    transports: tuple[str, ...] = ()


@dataclass(slots=True)
class Plugins:
    """Everything the loaded plugins bring, by name."""

    pluggy: pluggy.PluginManager
    reports: list[PluginReport] = field(default_factory=list)
    transports: dict[str, TransportKind] = field(default_factory=dict)
    filters: dict[str, FilterKind] = field(default_factory=dict)
    sinks: dict[str, SinkKind] = field(default_factory=dict)
    health_checks: list[HealthCheck] = field(default_factory=list)

    @property
    def failed(self) -> dict[str, str]:
        """Plugin name -> why it cannot be used."""
        return {r.name: r.detail for r in self.reports if r.status in {"failed", "incompatible"}}

    def commands(self, cli: Any) -> None:
        """Let plugins add commands to the Click group."""
        self.pluggy.hook.mesh_commands(cli=cli)

    def observers(self, settings: Mapping[str, Any]) -> list[Any]:
        """The observers that plugins bring for these settings."""
        return [observer for observer in self.pluggy.hook.mesh_observers(settings=settings) if observer]


def load_plugins(
    found: Iterable[EntryPoint] | None = None, environment: Mapping[str, str] = os.environ
) -> Plugins:
    """Load the built-ins and every allowed entry point of the group `mesh_gateway`; raises nothing."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    plugins = Plugins(manager)
    _adopt(plugins, "built-in", "mesh-gateway", "", builtin)
    allowed = environment.get(ALLOWED)
    names = None if allowed is None else {name.strip() for name in allowed.split(",")}
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda e: e.name):
        _load(plugins, entry, names)
    return plugins


def import_string(path: str) -> Any:
    """The object that "package.module:name" names. Raises `UnknownKind` saying what is missing."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise UnknownKind(f"cannot import {path}: {error}") from error
    except AttributeError as error:
        raise UnknownKind(f"cannot import {path}: module {module} has no {name}") from error


def _load(plugins: Plugins, entry: EntryPoint, allowed: set[str] | None) -> None:
    distribution = entry.dist.name if entry.dist else "unknown"
    version = entry.dist.version if entry.dist else ""
    if allowed is not None and entry.name not in allowed:
        plugins.reports.append(
            PluginReport(entry.name, distribution, version, "disabled", f"not named in {ALLOWED}")
        )
        return
    try:
        module = entry.load()
    except Exception as error:  # noqa: BLE001  # whatever a foreign module raises on import is its report
        why = f"{type(error).__name__}: {error}"
        plugins.reports.append(PluginReport(entry.name, distribution, version, "failed", why))
        return
    _adopt(plugins, entry.name, distribution, version, module)


def _adopt(plugins: Plugins, name: str, distribution: str, version: str, module: Any) -> None:
    """Register one module and take what its hooks return; undo it when anything is wrong."""

    def report(status: str, detail: str = "", implemented: tuple[str, ...] = (), kinds: Any = ()) -> None:
        plugins.reports.append(
            PluginReport(name, distribution, version, status, detail, implemented, tuple(kinds))
        )

    manager = plugins.pluggy
    manager.register(module, name)
    unknown = _unknown_hooks(manager, module)
    if unknown:
        manager.unregister(module)
        report("failed", unknown)
        return
    implemented = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or ()))
    try:
        transports = _returned(manager, module, "mesh_transports")
        filters = _returned(manager, module, "mesh_filters")
        sinks = _returned(manager, module, "mesh_sinks")
        checks = _returned(manager, module, "mesh_health_checks")
        wrong = [kind for kind in transports if kind.api != TRANSPORT_API]
        if wrong:
            manager.unregister(module)
            report(
                "incompatible",
                f"transport {wrong[0].name} was built for transport API {wrong[0].api}, "
                f"this gateway speaks {TRANSPORT_API}; install a matching version of {distribution}",
                implemented,
            )
            return
        _take(plugins.transports, transports, lambda kind: kind.name)
        _take(plugins.filters, filters, lambda kind: kind.dialect)
        _take(plugins.sinks, sinks, lambda kind: kind.scheme)
        plugins.health_checks.extend(checks)
    except Exception as error:  # noqa: BLE001  # a plugin's hook may raise anything; isolate it
        manager.unregister(module)
        report("failed", f"{type(error).__name__}: {error}", implemented)
        return
    report("ok", "", implemented, [kind.name for kind in transports])


def _unknown_hooks(manager: pluggy.PluginManager, module: Any) -> str:
    """What `check_pending` finds for this module alone, with a suggestion; empty when nothing."""
    known = [name for name in dir(hooks) if name.startswith("mesh_")]
    for attribute in dir(module):
        if attribute.startswith("mesh_") and manager.parse_hookimpl_opts(module, attribute) is not None:
            if attribute in known:
                continue
            close = difflib.get_close_matches(attribute, known, n=1)
            hint = f", did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
            return f"unknown hook {attribute!r}{hint}"
    return ""


def _returned(manager: pluggy.PluginManager, module: Any, hook: str) -> list[Any]:
    """What this module's own implementation of `hook` returns, asked for it alone."""
    if manager.parse_hookimpl_opts(module, hook) is None:
        return []
    return list(getattr(module, hook)())


def _take(into: dict[str, Any], kinds: Iterable[Any], name: Callable[[Any], str]) -> None:
    kinds = list(kinds)
    for kind in kinds:
        if name(kind) in into:
            raise DuplicateKind(f"{name(kind)!r} is already brought by another plugin")
    into.update((name(kind), kind) for kind in kinds)
