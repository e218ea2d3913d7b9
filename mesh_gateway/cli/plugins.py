"""`plugins`: which were found, and whether they can be used."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.exits import Exit
from mesh_gateway.cli.output import rows, table

if TYPE_CHECKING:
    from mesh_gateway.transport.plugins import Plugins

COLUMNS = ("name", "distribution", "version", "status", "transports", "hooks", "detail")


@click.command("plugins")
@click.argument("action", type=click.Choice(["list", "check"]), default="list", required=False)
@options.data_output()
def command(action: str, form: str) -> None:
    """Show the plugins that were found, and check them.

    A plugin is a distribution with an entry point in the group mesh_gateway. `check` also imports
    what the plugins bring, and exits with 1 if anything cannot be used. MESH_GATEWAY_PLUGINS names
    the plugins to load, separated by commas; empty loads none.
    """
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    wrong = missing(plugins) if action == "check" else {}
    found: list[dict[str, Any]] = []
    for report in plugins.reports:
        told = asdict(report)
        faults = [wrong[name] for name in report.transports if name in wrong]
        if faults:
            told |= {"status": "failed", "detail": "; ".join(faults)}
        found.append(told)
    if form == "table":
        table(COLUMNS, [[cell(one[name]) for name in COLUMNS] for one in found])
    else:
        rows(found, COLUMNS, form)
    if action == "check" and any(one["status"] in ("failed", "incompatible") for one in found):
        raise SystemExit(Exit.CHECK_FAILED)


def cell(value: str | tuple[str, ...]) -> str | None:
    """A report's field for a table."""
    return (value if isinstance(value, str) else ", ".join(value)) or None


def missing(plugins: Plugins) -> dict[str, str]:
    """Kind of transport -> why its modules cannot be imported."""
    from mesh_gateway.errors import PluginError
    from mesh_gateway.transport.plugins import import_string

    wrong: dict[str, str] = {}
    for name, kind in plugins.transports.items():
        try:
            for path in (kind.load, kind.options):
                import_string(path)
        except PluginError as error:
            wrong[name] = f"{error}" + (f"; {kind.install_hint}" if kind.install_hint else "")
    return wrong
