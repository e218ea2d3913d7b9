"""`plugins`: which were found, whether they can be used, and what the conformance kit says of a transport."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.output import rows, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh_gateway.transport.plugins import Plugins

COLUMNS = ("name", "distribution", "version", "status", "transports", "hooks", "detail")

ELSEWHERE = {name: f"mesh_gateway.cli.plugins_{name}" for name in ("check", "new")}
"""Verbs with a module of their own, imported on use."""


class PluginsGroup(click.Group):
    """Imports a verb's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *(name for name, module in ELSEWHERE.items() if find_spec(module))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ELSEWHERE and find_spec(ELSEWHERE[cmd_name]):
            command: click.Command = import_module(ELSEWHERE[cmd_name]).command
            return command
        return super().get_command(ctx, cmd_name)


@click.group("plugins", cls=PluginsGroup, invoke_without_command=True)
@options.data_output()
@click.pass_context
def command(context: click.Context, form: str) -> None:
    """Show the plugins that were found, and check them.

    A plugin is a distribution with an entry point in the group mesh_gateway. MESH_GATEWAY_PLUGINS names
    the plugins to load, separated by commas; empty loads none. Without a verb: list.
    """
    if context.invoked_subcommand is None:
        show(form)
    else:
        context.default_map = {context.invoked_subcommand: {"form": form}}


@command.command("list")
@options.data_output()
def list_(form: str) -> None:
    """List the plugins that were found, and what each brings."""
    show(form)


def show(form: str) -> None:
    """Print the plugins that were found."""
    from mesh_gateway.transport.plugins import load_plugins

    write(reports(load_plugins(), {}), form)


def reports(plugins: Plugins, wrong: Mapping[str, str]) -> list[dict[str, Any]]:
    """What became of each plugin; `wrong` says which kinds of transport cannot be used, and why."""
    found: list[dict[str, Any]] = []
    for report in plugins.reports:
        told = asdict(report)
        faults = [wrong[name] for name in report.transports if name in wrong]
        if faults:
            told |= {"status": "failed", "detail": "; ".join(faults)}
        found.append(told)
    return found


def write(found: Sequence[Mapping[str, Any]], form: str) -> None:
    """Print reports."""
    if form == "table":
        table(COLUMNS, [[cell(one[name]) for name in COLUMNS] for one in found])
    else:
        rows(found, COLUMNS, form)


def cell(value: str | tuple[str, ...]) -> str | None:
    """A report's field for a table."""
    return (value if isinstance(value, str) else ", ".join(value)) or None
